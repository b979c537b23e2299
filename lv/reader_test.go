package lv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// relay is a lv.Reader from a Service, as from another process.
type relay struct {
	*lv.Service
	reads  atomic.Int32
	away   atomic.Bool
	before func(lv.TableID) // is called before a snapshot is handed out
}

var errAway = errors.New("away")

func (r *relay) Snapshot(ctx context.Context, id lv.TableID) (lv.Snapshot, error) {
	r.reads.Add(1)
	if r.away.Load() {
		return lv.Snapshot{}, errAway
	}
	s, err := r.Table(id.App, id.Schema).Snapshot(ctx)
	if r.before != nil {
		r.before(id)
	}
	return s, err
}

// reading returns the table of s in a service that has only the reader.
func (s site) reading(r lv.Reader) site {
	s.t.Helper()
	service, err := lv.New(lv.Config{Reader: r, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, service.Close()) })
	return site{service.Table(s.ID.App, s.ID.Schema), s.t, nil, service}
}

func TestAServiceWithAReaderShowsWhatTheOtherHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.save("a", "1")
		s.publish("g", "a")
		s.strategy(lv.Strategy{Target: s.save("b", "1"), Rules: greeted})
		r := &relay{Service: s.service}
		other := s.reading(r)
		require.Equal(t, "a=1 b=1", other.shows(lv.View{Env: "g", For: hello("Hello")}))
		s.publish(lv.Production, "a")
		require.Empty(t, other.shows(lv.View{}), "nobody follows")
		other.run()
		synctest.Wait()
		require.Equal(t, "a=1", other.shows(lv.View{}))
		for _, env := range []lv.Env{lv.Production, "g", "h"} {
			s.save("a", "2"+string(env))
			s.publish(env, "a")
			synctest.Wait()
			require.Equal(t, s.shows(lv.View{Env: env}), other.shows(lv.View{Env: env}))
		}
		require.EqualValues(t, 1, r.reads.Load())
		r.away.Store(true)
		_, err := other.service.Table("app", "other").Get(t.Context(), "a", lv.View{})
		require.ErrorIs(t, err, errAway)
	})
}

func TestATableThatIsNamedIsFollowedThoughNobodyReadsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		r := &relay{Service: s.service}
		r.away.Store(true)
		service, err := lv.New(lv.Config{Reader: r, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer service.Close()
		go service.Run(t.Context())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, r.reads.Load(), "there is no table to ask for")
		service.Table(s.ID.App, s.ID.Schema)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Greater(t, r.reads.Load(), int32(10), "it is tried again")
		r.away.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		reads := r.reads.Load()
		s.save("a", "1")
		s.publish(lv.Production, "a")
		synctest.Wait()
		r.away.Store(true)
		_, err = service.Table(s.ID.App, s.ID.Schema).Get(t.Context(), "a", lv.View{})
		require.NoError(t, err)
		require.Equal(t, reads, r.reads.Load())
	})
}

func TestASnapshotThatIsOlderThanWhatIsFollowedIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		second := s.service.Table("app", "second")
		put := func(row string) {
			_, err := second.Save(t.Context(), row, page(row), ada)
			require.NoError(t, err)
			_, err = second.Publish(t.Context(), lv.Production, ada, row)
			require.NoError(t, err)
		}
		r := &relay{Service: s.service}
		other := s.reading(r)
		r.before = func(id lv.TableID) {
			if id == second.ID {
				r.before = nil
				put("a") // after the snapshot was made
				s.save("x", "1")
				s.publish(lv.Production, "x") // the first table begins to be followed here
				require.Equal(t, "x=1", other.shows(lv.View{}))
				other.run()
				put("b")
				synctest.Wait()
			}
		}
		_, err := other.service.Table("app", "second").Get(t.Context(), "b", lv.View{})
		require.NoError(t, err)
		_, err = other.service.Table("app", "second").Get(t.Context(), "a", lv.View{})
		require.NoError(t, err)
		require.EqualValues(t, 3, r.reads.Load())
	})
}

func TestAReaderWhoseEventsAreLostIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Retention: storage.Retention{Events: 2}})
		s := serve(t, lv.Config{Store: db})
		s.save("a", "0")
		s.publish(lv.Production, "a")
		r := &relay{Service: s.service}
		other := s.reading(r)
		require.Equal(t, "a=0", other.shows(lv.View{}))
		for _, name := range []string{"1", "2", "3", "4"} {
			s.save("a", name)
			s.publish(lv.Production, "a")
		}
		other.run()
		synctest.Wait()
		require.EqualValues(t, 2, r.reads.Load(), "though nobody has asked again")
		require.Equal(t, "a=4", other.shows(lv.View{}))
		s.save("a", "5")
		s.publish(lv.Production, "a")
		synctest.Wait()
		require.Equal(t, "a=5", other.shows(lv.View{}))
	})
}

// writes are all calls that write.
func (s site) writes(ctx context.Context, plan int64) map[string]error {
	second := func(_ any, err error) error { return err }
	return map[string]error{
		"save":            second(s.Save(ctx, "a", page("9"), ada)),
		"delete":          second(s.Delete(ctx, "a", ada)),
		"restore":         second(s.Restore(ctx, 1, ada)),
		"edit":            second(s.Edit(ctx, ada, lv.Edit{Op: lv.OpDelete, Row: "a"})),
		"publish":         second(s.Publish(ctx, "", ada, "a")),
		"release":         second(s.Table.Release(ctx, "", ada, 1)),
		"reset":           second(s.Reset(ctx, "g", ada, "a")),
		"revert":          second(s.Revert(ctx, 1, ada)),
		"draft":           second(s.Draft(ctx, lv.Release{Changes: []lv.Change{{Row: "a", To: 1}}}, ada)),
		"approve":         second(s.Approve(ctx, plan, bob)),
		"schedule":        second(s.Schedule(ctx, plan, time.Now(), ada)),
		"apply":           second(s.Apply(ctx, plan, ada)),
		"cancel":          s.Cancel(ctx, plan, ada),
		"save strategy":   second(s.SaveStrategy(ctx, lv.Strategy{Target: 1, Rules: greeted}, ada)),
		"delete strategy": s.DeleteStrategy(ctx, 1, ada),
		"typed":           second(lv.Of[map[string]string](s.Table).Save(ctx, "a", nil, ada)),
	}
}

func TestAReadOnlyServiceFollowsAndWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.save("old", "1")
		s.save("old", "2")
		s.save("old", "3")
		plan, err := s.Draft(t.Context(), lv.Release{Changes: []lv.Change{{Row: "old", To: 1}}}, ada)
		require.NoError(t, err)
		_, err = s.Approve(t.Context(), plan.ID, bob)
		require.NoError(t, err)
		_, err = s.Schedule(t.Context(), plan.ID, time.Now().Add(time.Minute), ada)
		require.NoError(t, err)
		var log bytes.Buffer
		other := serve(t, lv.Config{
			VersionStore: s.store, ReadOnly: true, Retain: lv.Retention{Versions: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		require.Empty(t, other.shows(lv.View{}))
		other.run()
		s.save("a", "1")
		s.publish(lv.Production, "a")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Empty(t, log.String(), "it does not even try")
		require.Equal(t, "a=1", other.shows(lv.View{}))
		require.Equal(t, "a=1 old=3", other.shows(lv.View{Working: true}), "it has a store to read from")
		for what, err := range other.writes(t.Context(), plan.ID) {
			require.ErrorIs(t, err, lv.ErrReadOnly, what)
		}
		for _, state := range []lv.ReleaseState{lv.ReleaseApplied, lv.ReleaseFailed} {
			for r := range s.Releases(t.Context(), lv.Query{State: state}) {
				require.NotEqual(t, plan.ID, r.ID)
			}
		}
		versions := 0
		for _, err := range s.History(t.Context(), lv.Query{Row: "old"}) {
			require.NoError(t, err)
			versions++
		}
		require.Equal(t, 3, versions)
	})
}

func TestWhatOnlyAStoreHasIsUnsupportedWithAReader(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	other := s.reading(&relay{Service: s.service})
	for what, err := range other.writes(t.Context(), 1) {
		require.ErrorIs(t, err, lv.ErrReadOnly, what)
		require.ErrorIs(t, err, errors.ErrUnsupported, what)
	}
	errs := map[string]error{}
	_, errs["strategies"] = other.Strategies(t.Context())
	_, errs["where a row is shown"] = other.Shown(t.Context(), "a")
	_, errs["a working row"] = other.Get(t.Context(), "a", lv.View{Working: true})
	_, errs["the past"] = other.Get(t.Context(), "a", lv.View{AsOf: 1})
	_, errs["history"] = first(other.History(t.Context(), lv.Query{}))
	_, errs["releases"] = first(other.Releases(t.Context(), lv.Query{}))
	_, errs["tables"] = first(other.service.Tables(t.Context()))
	for what, err := range errs {
		require.ErrorIs(t, err, errors.ErrUnsupported, what)
	}
}

func first[T any](seq iter.Seq2[T, error]) (T, error) {
	for one, err := range seq {
		return one, err
	}
	var none T
	return none, nil
}

func TestAReaderAndAStoreAreOneTooMany(t *testing.T) {
	s := newSite(t)
	_, err := lv.New(lv.Config{VersionStore: s.store, Reader: &relay{Service: s.service}})
	require.ErrorIs(t, err, lv.ErrInvalid)
}

func TestARowThatAReaderCannotReadSpoilsTheSnapshot(t *testing.T) {
	s := newSite(t)
	other := s.reading(broken{&relay{Service: s.service}})
	_, err := other.Get(t.Context(), "a", lv.View{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// broken is a reader that breaks off.
type broken struct{ *relay }

func (broken) Snapshot(context.Context, lv.TableID) (lv.Snapshot, error) {
	return lv.Snapshot{Rows: func(lv.Env) iter.Seq2[lv.Row, error] {
		return func(yield func(lv.Row, error) bool) {
			yield(lv.Row{ID: "a", Content: json.RawMessage(`{}`)}, context.DeadlineExceeded)
		}
	}}, nil
}
