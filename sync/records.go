package sync

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// The keys of what a Folder keeps in its FolderStore, beside the notes of its
// engine.
const (
	keyRun      = "run/"     // runs, the newest first
	keyLast     = "last"     // the number of the newest run
	keyLive     = "live"     // the ID of the run that goes on
	keyRequest  = "request/" // the IDs of runs, by the digests of their RequestIDs
	keyCancel   = "cancel"   // who wants which run to stop
	keySettings = "settings"
	keyUntold   = "untold/" // runs that have ended and of which OnFinish was not told
	keyMachine  = "machine" // what tells this device from others
	keyRemote   = "at/"     // what is noted of each remote
)

// maxRuns is how many runs are kept.
const maxRuns = 10_000

// records are the runs of a folder.
type records struct{ FolderStore }

// runKey is where the run of a number is.
func runKey(n int64) string { return fmt.Sprintf("%s%016x", keyRun, math.MaxInt64-n) }

// newRunID names the run of a number.
func newRunID(n int64) string {
	return fmt.Sprintf("%d-%s", n, strings.ToLower(rand.Text()[:12]))
}

// numberOf is the reverse of newRunID, or 0.
func numberOf(id string) int64 {
	digits, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func requestKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return keyRequest + hex.EncodeToString(sum[:16])
}

// value returns one note, or nil.
func (s records) value(ctx context.Context, key string) ([]byte, error) {
	return optional(s.Get(ctx, key))
}

// read reads one note into what v points to, or reports that there is none.
func (s records) read(ctx context.Context, key string, v any) (found bool, err error) {
	text, err := s.value(ctx, key)
	if err != nil || text == nil {
		return false, err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return false, fmt.Errorf("%w: note %q: %w", ErrCorrupt, key, err)
	}
	return true, nil
}

func noted(key string, v any) Entry {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has nothing that JSON has not
	}
	return Entry{key, text}
}

// get returns a run, or ErrNotFound.
func (s records) get(ctx context.Context, id string) (run Run, err error) {
	found, err := s.read(ctx, runKey(numberOf(id)), &run)
	if err == nil && (!found || run.ID != id) {
		err = fmt.Errorf("%w: run %q", ErrNotFound, cut(id, maxText))
	}
	if err != nil {
		return Run{}, err
	}
	return run, nil
}

// live returns the run that goes on, or nil.
func (s records) live(ctx context.Context) (*Run, error) {
	id, err := s.value(ctx, keyLive)
	if err != nil || id == nil {
		return nil, err
	}
	run, err := s.get(ctx, string(id))
	if err != nil || run.State.Done() {
		return nil, err
	}
	return &run, nil
}

// byRequest finds the run of a repeated request.
func (s records) byRequest(ctx context.Context, id string) (Run, bool, error) {
	if id == "" {
		return Run{}, false, nil
	}
	run, err := s.value(ctx, requestKey(id))
	if err != nil || run == nil {
		return Run{}, false, err
	}
	found, err := s.get(ctx, string(run))
	if isNotFound(err) {
		return Run{}, false, nil
	}
	return found, err == nil, err
}

// history yields runs, newest first.
func (s records) history(ctx context.Context, q Query) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		if q.RequestID != "" || q.Live { // there is one at most
			run, err := s.only(ctx, q)
			if err != nil {
				yield(Run{}, err)
			} else if run != nil && (q.After == "" || numberOf(run.ID) < numberOf(q.After)) {
				yield(*run, nil)
			}
			return
		}
		after := ""
		if q.After != "" {
			if _, err := s.get(ctx, q.After); err != nil {
				yield(Run{}, err)
				return
			}
			after = runKey(numberOf(q.After))
		}
		for e, err := range s.List(ctx, keyRun) {
			var run Run
			if err == nil && e.Key <= after {
				continue
			}
			if err == nil {
				if err = json.Unmarshal(e.Value, &run); err != nil {
					err = fmt.Errorf("%w: note %q: %w", ErrCorrupt, e.Key, err)
				}
			}
			if !yield(run, err) || err != nil {
				return
			}
		}
	}
}

// only is the run of a request, or the one that goes on, or nil.
func (s records) only(ctx context.Context, q Query) (*Run, error) {
	if q.RequestID == "" {
		return s.live(ctx)
	}
	run, found, err := s.byRequest(ctx, q.RequestID)
	if err != nil || !found || q.Live && run.State.Done() {
		return nil, err
	}
	return &run, nil
}

// newest is the number of the newest run, or 0.
func (s records) newest(ctx context.Context) (n int64, err error) {
	_, err = s.read(ctx, keyLast, &n)
	return n, err
}

// last is the newest run that has ended, or nil: of the newest, or the one before
// if that is live.
func (s records) last(ctx context.Context) (*Run, error) {
	n, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	for ; n > 0; n-- {
		var run Run
		if found, err := s.read(ctx, runKey(n), &run); err != nil || !found {
			return nil, err
		}
		if run.State.Done() {
			return &run, nil
		}
	}
	return nil, nil
}

// write writes entries, of which the first is another one each time, with
// events. What failed may have been written: then it is not written again.
func (s records) write(ctx context.Context, token int64, entries []Entry, events ...Event) (seq int64, err error) {
	for try := 0; ; try++ {
		seq, err = s.Update(ctx, token, entries, events...)
		if err == nil || errors.Is(err, ErrStale) || errors.Is(err, ErrInvalid) || ctx.Err() != nil {
			return seq, err
		}
		there, readErr := s.value(ctx, entries[0].Key)
		if readErr == nil && string(there) == string(entries[0].Value) && entries[0].Value != nil {
			return 0, nil // the answer was lost
		}
		if try == 4 {
			return 0, err
		}
		if e := pause.For(ctx, (100<<try)*time.Millisecond); e != nil {
			return 0, errors.Join(err, e)
		}
	}
}
