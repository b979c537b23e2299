package sqlstore_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// slow is a DB whose reads last until their context ends.
type slow struct {
	database
	feeds   int
	idle    bool // reads find nothing, at once
	reading atomic.Int64
}

func (s *slow) Dialect() sqlstore.Dialect { return sqlstore.Dialect{Feeds: s.feeds} }

func (s *slow) Read(ctx context.Context, _ func(sqlstore.Tx) error) error {
	if s.idle {
		return nil
	}
	s.reading.Add(1)
	defer s.reading.Add(-1)
	<-ctx.Done()
	return context.Cause(ctx)
}

// first returns the error that a list begins with.
func first[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		return err
	}
	return nil
}

func TestHoweverManyWatchOthersMayRead(t *testing.T) {
	table := lv.TableID{App: "demo", Schema: "pages"}
	for name, store := range map[string]func(sqlstore.DB) (watch, list func(context.Context) error){
		"update": func(db sqlstore.DB) (watch, list func(context.Context) error) {
			j := sqlstore.NewJournal(db, storage.Retention{})
			return func(ctx context.Context) error { return first(j.Watch(ctx, 0)) },
				func(ctx context.Context) error { return first(j.History(ctx, update.Query{})) }
		},
		"lv": func(db sqlstore.DB) (watch, list func(context.Context) error) {
			v := sqlstore.NewVersions(db, storage.Retention{})
			return func(ctx context.Context) error { return first(v.Watch(ctx, 0)) },
				func(ctx context.Context) error { return first(v.Versions(ctx, table, lv.Query{})) }
		},
	} {
		for feeds, want := range map[int]int64{0: 1, 3: 3} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { othersRead(t, &slow{feeds: feeds}, store, want) })
			})
		}
	}
}

func othersRead(t *testing.T, db *slow, store func(sqlstore.DB) (watch, list func(context.Context) error), want int64) {
	watch, list := store(db)
	ctx, stop := context.WithCancel(t.Context())
	results := make(chan error)
	for range 20 {
		go func() { results <- watch(ctx) }()
	}
	synctest.Wait()
	require.Equal(t, want, db.reading.Load(), "pages of feeds that are read at once")

	go func() { results <- list(ctx) }()
	synctest.Wait()
	require.Equal(t, want+1, db.reading.Load(), "another read waits for no feed")

	left, leave := context.WithCancelCause(ctx)
	leave(errors.New("enough"))
	require.EqualError(t, errors.Unwrap(watch(left)), "enough", "to wait for a turn ends with the context")
	stop()
	for range 21 {
		require.ErrorIs(t, <-results, context.Canceled)
	}
}

func TestTheFeedsOfAllStoresShareConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &slow{feeds: 3, idle: true}
		stores, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db})
		require.NoError(t, err)
		require.NoError(t, first(stores.Journal().History(t.Context(), update.Query{})))
		require.NoError(t, first(stores.Versions().Versions(t.Context(), lv.TableID{App: "demo", Schema: "pages"}, lv.Query{})))
		db.idle = false
		ctx, stop := context.WithCancel(t.Context())
		var watchers sync.WaitGroup
		for range 5 {
			watchers.Go(func() { _ = first(stores.Journal().Watch(ctx, 0)) })
			watchers.Go(func() { _ = first(stores.Versions().Watch(ctx, 0)) })
		}
		synctest.Wait()
		require.EqualValues(t, 3, db.reading.Load())
		stop()
		watchers.Wait()
	})
}
