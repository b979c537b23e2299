package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lv"
)

// patience is how long the server may be silent: its feed has a sign of life
// every 15 seconds.
const patience = 45 * time.Second

// How long to wait before the server is asked again.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// source is the lv.Reader of a replica: a snapshot and the events after it.
type source struct {
	replica  *Replica
	base     *url.URL
	maxEvent int         // bytes
	changed  atomic.Bool // since the file was saved
	fresh    atomic.Bool // the state is the server's, which has not been asked for events after it

	lost     atomic.Bool // the file is too old for the feed
	unusable string      // why the file is, as the log has it; of who reads the table
}

var _ lv.Reader = (*source)(nil)

// Snapshot implements lv.Reader. It is the state of the file, unless there is
// none or the feed does not reach back to it, or that of the server.
func (s *source) Snapshot(ctx context.Context, _ lv.TableID) (lv.Snapshot, error) {
	snapshot, err := s.begin(ctx)
	if err == nil {
		s.replica.seen(snapshot.After)
	}
	return snapshot, err
}

func (s *source) begin(ctx context.Context) (lv.Snapshot, error) {
	kept, missing := s.replica.open()
	unusable := ""
	if missing != nil && !errors.Is(missing, os.ErrNotExist) {
		unusable = missing.Error()
	}
	if unusable != "" && unusable != s.unusable {
		s.replica.config.Logger.WarnContext(ctx, "lv: replica cannot use its file", "file", s.replica.config.File, "err", missing)
	}
	s.unusable = unusable
	if missing == nil && !s.lost.Load() {
		return kept, nil
	}
	fresh, err := s.fetch(ctx)
	if err != nil && missing == nil {
		return kept, nil // better than nothing
	}
	if err != nil {
		return lv.Snapshot{}, err
	}
	s.changed.Store(true)
	s.fresh.Store(true)
	s.lost.Store(false)
	return fresh, nil
}

// Watch implements lv.Reader. It connects again whenever the feed ends.
func (s *source) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		wait, told := firstPause, "" // why the server is away, as the log has it
		for after := after; ; {
			began, stopped := time.Now(), false
			err := s.follow(ctx, after, func(e lv.Event) bool {
				wait, after = firstPause, e.Seq
				stopped = !yield(e, nil)
				if e.Kind != "" { // else it says only that nothing has changed up to there
					s.changed.Store(true)
				}
				s.replica.seen(e.Seq)
				return !stopped
			})
			if s.replica.connected(false) {
				told = ""
			}
			switch {
			case stopped:
				return
			case errors.Is(err, lv.ErrCompacted):
				s.replica.config.Logger.WarnContext(ctx, "lv: replica reads the snapshot anew", "after", after, "err", err)
				s.lost.Store(true)
				_ = pause.For(ctx, time.Second) // in case that the server's state is no better
				yield(lv.Event{}, err)
				return
			case time.Since(began) > longestPause:
				wait = firstPause
			}
			if ctx.Err() == nil {
				if reason := err.Error(); reason != told {
					s.replica.config.Logger.WarnContext(ctx, "lv: replica lost its server", "err", err)
					told = reason
				}
				_ = pause.For(ctx, wait)
			}
			if ctx.Err() != nil {
				yield(lv.Event{}, context.Cause(ctx))
				return
			}
			wait = min(2*wait, longestPause)
		}
	}
}

// get sends a request whose answer may be silent for no longer than patience.
// The caller closes it.
func (s *source) get(ctx context.Context, route string, query url.Values) (*answer, error) {
	query.Set("appid", s.replica.config.Table.App)
	query.Set("schemaid", s.replica.config.Table.Schema)
	address := s.base.JoinPath(route)
	address.RawQuery = query.Encode()
	ctx, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(patience, func() { cancel(errors.New("lv/replica: the server is silent")) })
	fail := func(err error) (*answer, error) {
		silent.Stop()
		cancel(nil)
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return fail(err)
	}
	s.replica.config.Authorize(request)
	response, err := s.replica.config.Client.Do(request)
	if err != nil {
		return fail(fmt.Errorf("lv/replica: %s: %w", route, fetch.Cause(err))) // without the address, which may have credentials
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return fail(fmt.Errorf("lv/replica: %s: %s", route, response.Status))
	}
	return &answer{response: response, silent: silent, cancel: cancel}, nil
}

// answer is the body of a response that must not be silent for long.
type answer struct {
	response *http.Response
	silent   *time.Timer
	cancel   context.CancelCauseFunc
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.response.Body.Read(p)
	a.silent.Reset(patience)
	return n, err
}

func (a *answer) Close() error {
	a.silent.Stop()
	a.cancel(nil)
	return a.response.Body.Close()
}

// fetch asks the server for its state.
func (s *source) fetch(ctx context.Context) (lv.Snapshot, error) {
	answer, err := s.get(ctx, "snapshot", url.Values{})
	if err != nil {
		return lv.Snapshot{}, err
	}
	defer answer.Close()
	table, snapshot, err := wire.ReadSnapshot(answer)
	if err == nil && table != s.replica.config.Table {
		err = fmt.Errorf("lv/replica: the server sent table %q of %q", table.Schema, table.App)
	}
	return snapshot, err
}

// follow calls f for the events after one until it returns false or the feed
// ends, which is an error. It is lv.ErrCompacted if they are not all there, or
// belong to another history.
func (s *source) follow(ctx context.Context, after int64, f func(lv.Event) bool) error {
	answer, err := s.get(ctx, "changes", url.Values{"after": {strconv.FormatInt(after, 10)}})
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := s.sameHistory(ctx, answer.response.Header.Get(wire.HistoryHeader)); err != nil {
		return err
	}
	s.replica.connected(true)
	s.replica.config.Logger.InfoContext(ctx, "lv: replica follows its server", "after", after)
	return readEvents(answer, s.maxEvent, f)
}
