package replica_test

import (
	"context"
	"encoding/json"
	"iter"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// rotting is a store whose damaged versions are known.
type rotting struct {
	lv.VersionStore
	bad *sync.Map // lv.VersionID
}

func (r rotting) spoils(v lv.VersionID, content *json.RawMessage) bool {
	_, bad := r.bad.Load(v)
	if bad = bad && *content != nil; bad {
		*content = nil
	}
	return bad
}

func (r rotting) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		for row, err := range r.VersionStore.Rows(ctx, t, v) {
			if r.spoils(row.Version, &row.Content) {
				err = &lv.CorruptError{Table: t, Row: row.ID, Version: row.Version}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (r rotting) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		for e, err := range r.VersionStore.Watch(ctx, after) {
			for i := range e.Rows {
				e.Rows[i].Corrupt = r.spoils(e.Rows[i].To, &e.Rows[i].Content)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestADamagedRowSpoilsNeitherTheSnapshotNorTheFeedOfReplicas(t *testing.T) {
	s := serve(t)
	store := rotting{s.store, new(sync.Map)}
	service, err := lv.New(lv.Config{VersionStore: store, Logger: quiet})
	require.NoError(t, err)
	s.table, s.store = service.Table(banners.App, banners.Schema), store
	bad := s.save("bad", "1")
	s.save("good", "1")
	store.bad.Store(bad, true)
	// As it was published before it was damaged.
	_, err = store.VersionStore.PutRelease(t.Context(), banners, lv.Release{
		State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "bad", Working: true}, {Row: "good", Working: true}},
	}, by)
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "state")
	r := s.follower(file)
	stop := run(t, r)
	shows := func(row, name string) {
		t.Helper()
		require.Eventually(t, func() bool {
			got, err := r.Table().Get(t.Context(), row, lv.View{})
			if name == "" {
				_, ok := err.(*lv.CorruptError)
				return ok
			}
			return err == nil && string(got.Content) == `{"name":"`+name+`","n":9007199254740993}`
		}, hangs, time.Millisecond, row)
	}
	shows("bad", "") // in the snapshot
	shows("good", "1")
	worse := s.save("good", "2")
	store.bad.Store(worse, true)
	_, err = store.VersionStore.PutRelease(t.Context(), banners, lv.Release{
		State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "good", Working: true}},
	}, by)
	require.NoError(t, err)
	s.save("late", "1")
	s.publish(lv.Production, "late")
	shows("late", "1") // the feed goes on
	require.Eventually(t, func() bool {
		_, err := r.Table().Get(t.Context(), "good", lv.View{})
		damaged, ok := err.(*lv.CorruptError)
		return ok && damaged.Version == worse
	}, hangs, time.Millisecond)
	stop()
	s.away.Store(true)

	r = s.follower(file) // out of its file
	run(t, r)
	shows("bad", "")
	shows("late", "1")
	s.away.Store(false)
	s.save("bad", "2")
	s.publish(lv.Production, "bad")
	shows("bad", "2")
}
