package sqlstore_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// spy notes what a store asks its engine for.
type spy struct {
	sqlstore.DB
	changed    int      // how often for news of a commit
	statements []string // that read
}

func (s *spy) Changed(ctx context.Context) <-chan struct{} {
	s.changed++
	return s.DB.Changed(ctx)
}

func (s *spy) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return s.DB.Read(ctx, func(tx sqlstore.Tx) error { return f(spyTx{tx, s}) })
}

type spyTx struct {
	sqlstore.Tx
	spy *spy
}

func (t spyTx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	t.spy.statements = append(t.spy.statements, query)
	return t.Tx.Query(query, args, each)
}

// written returns an engine that has runs with a step, and rows, of so many
// bytes each.
func written(t *testing.T, n, size int) *spy {
	b, err := open(t.Context(), storage.Retention{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	for i := range n {
		run := update.Run{
			ID: fmt.Sprint(i), Package: "p", Item: fmt.Sprint(i), State: update.StateRunning,
			Steps: []update.StepRecord{{Name: "s", Data: make([]byte, size)}},
		}
		_, err := b.Journal().Create(t.Context(), run, update.Event{Kind: update.EventLog, Message: string(make([]byte, size/4))})
		require.NoError(t, err)
	}
	_, err = b.Versions().Write(t.Context(), fieldsTable, []lv.Edit{{Op: lv.OpSave, Row: "a", Content: []byte("1")}}, lv.By{})
	require.NoError(t, err)
	return &spy{DB: b.engine}
}

func TestAFeedLooksForEventsBeforeItAsksForNewsOfThem(t *testing.T) {
	s := written(t, 2, 1)
	n := 0
	for _, err := range sqlstore.NewJournal(s, storage.Retention{}).Watch(t.Context(), 0) {
		require.NoError(t, err)
		if n++; n == 2 {
			break
		}
	}
	newestOf(t, sqlstore.NewVersions(s, storage.Retention{}).Watch(t.Context(), 0))
	require.Zero(t, s.changed, "who looks at a short list costs nobody a watch of the database")
}

func TestTheNewestRunIsReadAlone(t *testing.T) {
	s := written(t, 3, 1)
	run := newestOf(t, sqlstore.NewJournal(s, storage.Retention{}).History(t.Context(), update.Query{Package: "p"}))
	require.Equal(t, "2", run.ID)
	require.Len(t, s.statements, 2, "itself, and its steps: %q", s.statements)
}

// TestLongRecordsAreNotAllInMemoryAtOnce reads lists whose entries are long.
func TestLongRecordsAreNotAllInMemoryAtOnce(t *testing.T) {
	const runs = 24
	spy := written(t, runs, 1<<20)
	j, v := sqlstore.NewJournal(spy, storage.Retention{}), sqlstore.NewVersions(spy, storage.Retention{})
	t.Run("runs", func(t *testing.T) {
		requireInPages(t, runs, func(ctx context.Context) iter.Seq2[update.Run, error] { return j.History(ctx, update.Query{}) })
	})
	t.Run("events", func(t *testing.T) {
		requireInPages(t, runs, func(ctx context.Context) iter.Seq2[update.Event, error] { return j.Watch(ctx, 0) })
	})
	t.Run("releases", func(t *testing.T) {
		by := lv.By{Reason: strings.Repeat("x", 1<<20)}
		for range runs {
			r := lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{{Row: "a"}}}
			_, err := v.PutRelease(t.Context(), fieldsTable, r, by)
			require.NoError(t, err)
		}
		requireInPages(t, runs, func(ctx context.Context) iter.Seq2[lv.Release, error] {
			return v.Releases(ctx, fieldsTable, lv.Query{})
		})
	})
}

// requireInPages reads n entries, and two of them for much less.
func requireInPages[T any](t *testing.T, n int, list func(context.Context) iter.Seq2[T, error]) {
	read := func(n int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, err := range list(t.Context()) {
			require.NoError(t, err)
			if n--; n == 0 {
				break
			}
		}
		runtime.ReadMemStats(&after)
		require.Zero(t, n)
		return after.TotalAlloc - before.TotalAlloc
	}
	all, few := read(n), read(2)
	require.Less(t, 3*few, all, "two of %d took %d bytes, all %d", n, few, all)
}
