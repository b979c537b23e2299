package storagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// backendCase is a promise of storage.Backend, in words, and its check.
type backendCase struct {
	name string
	run  func(testing.TB, Harness)
}

func (h Harness) cases() []backendCase {
	cases := []backendCase{
		{"an engine always returns the same stores", sameStores},
		{"an engine may be closed twice", closedTwice},
		{"a closed engine refuses every call", closedRefuses},
		{"closing an engine ends every watch", closingEndsWatches},
		{"a call that meets the closing is done or refused", closingAmidCalls},
		{"a closed engine leaves no goroutine behind", nothingLeft},
	}
	if h.Again != nil {
		cases = append(cases,
			backendCase{"leases and tokens survive reopening", locksSurvive},
			backendCase{"runs and events survive reopening", runsSurvive},
			backendCase{"rows and what was released survive reopening", rowsSurvive},
			backendCase{"programs of a fleet update one at a time", fleetTakesTurns},
		)
	}
	return cases
}

// aRun returns a run that can be created.
func aRun(id string) update.Run {
	return update.Run{
		ID: id, Package: "demo/site", Item: id, State: update.StateRunning, Token: 5,
		Steps: []update.StepRecord{{Name: "publish", Data: []byte(`{"a": 1}`)}},
	}
}

// What cases keep of package lv.
var (
	pages = lv.TableID{App: "demo", Schema: "pages"}
	ann   = lv.By{Actor: "ann"}
)

func saving(row string, n int) []lv.Edit {
	return []lv.Edit{{Op: lv.OpSave, Row: row, Content: json.RawMessage(fmt.Sprintf(`{"n": %d}`, n))}}
}

func releasing(v lv.Version) lv.Release {
	return lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: v.Row, To: v.ID}}}
}

func showing(v lv.Version) lv.Strategy {
	rule := lv.Rule{Object: "user", Field: "city", Relation: lv.RelationEquals, Value: "Nice"}
	return lv.Strategy{Target: v.ID, Rules: lv.Rules{rule}}
}

func sameStores(t testing.TB, h Harness) {
	b := h.open(t)
	for _, stores := range [][2]any{
		{b.Locker(), b.Locker()},
		{b.Journal(), b.Journal()},
		{b.Versions(), b.Versions()},
	} {
		require.True(t, reflect.TypeOf(stores[0]).Comparable(), "%T is not comparable", stores[0])
		require.True(t, stores[0] == stores[1], "two calls return two values of %T", stores[0])
	}
	other := h.open(t)
	require.False(t, b.Locker() == other.Locker(), "two engines share a Locker")
	require.False(t, b.Versions() == other.Versions(), "two engines share a VersionStore")
}

func closedTwice(t testing.TB, h Harness) {
	b := h.open(t)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "a closed engine may be closed again")
}

func closedRefuses(t testing.TB, h Harness) {
	b := h.open(t)
	ctx := t.Context()
	locker, journal := b.Locker(), b.Journal()
	lease, err := locker.Acquire(ctx, "core", "me", time.Hour)
	require.NoError(t, err)
	run, err := journal.Create(ctx, aRun("1"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	history, watch := journal.History(ctx, update.Query{}), journal.Watch(ctx, 0)
	versions := b.Versions()
	saved, err := versions.Write(ctx, pages, saving("a", 1), ann)
	require.NoError(t, err)
	rows := versions.Rows(ctx, pages, lv.View{Working: true})
	require.NoError(t, b.Close())

	_, acquire := locker.Acquire(ctx, "other", "me", time.Hour)
	_, renew := locker.Renew(ctx, lease, time.Hour)
	release := locker.Release(ctx, lease)
	_, holder := locker.Holder(ctx, "core")
	_, create := journal.Create(ctx, aRun("2"))
	_, save := journal.Save(ctx, run)
	_, get := journal.Get(ctx, "1")
	for op, err := range map[string]error{
		"Acquire": acquire, "Renew": renew, "Release": release, "Holder": holder,
		"Create": create, "Save": save, "Get": get,
	} {
		require.ErrorIs(t, err, storage.ErrClosed, op)
	}
	_, write := versions.Write(ctx, pages, saving("a", 2), ann)
	_, put := versions.PutRelease(ctx, pages, releasing(saved[0]), ann)
	_, strategy := versions.PutStrategy(ctx, pages, showing(saved[0]), ann)
	for op, err := range map[string]error{"Write": write, "PutRelease": put, "PutStrategy": strategy} {
		require.ErrorIs(t, err, storage.ErrClosed, op)
	}
	requireClosed(t, "Rows", rows)
	requireClosed(t, "Rows", versions.Rows(ctx, pages, lv.View{}))
	requireClosed(t, "Versions", versions.Versions(ctx, pages, lv.Query{}))
	requireClosed(t, "Releases", versions.Releases(ctx, pages, lv.Query{}))
	requireClosed(t, "Tables", versions.Tables(ctx))
	requireClosed(t, "Watch of versions", versions.Watch(ctx, 0))
	requireClosed(t, "History", history)
	requireClosed(t, "Watch", watch)
	requireClosed(t, "Watch", b.Journal().Watch(ctx, -1))
}

// requireClosed checks that a list is ErrClosed and nothing else.
func requireClosed[T any](t testing.TB, list string, all iter.Seq2[T, error]) {
	t.Helper()
	pairs := 0
	for _, err := range all {
		require.ErrorIs(t, err, storage.ErrClosed, list)
		pairs++
	}
	require.Equal(t, 1, pairs, "%s: an error is the last pair", list)
}

func closingEndsWatches(t testing.TB, h Harness) {
	b := h.open(t)
	_, err := b.Journal().Create(t.Context(), aRun("1"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	_, err = b.Versions().Write(t.Context(), pages, saving("a", 1), ann)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const watchers = 6
	waiting := make(chan bool, watchers)
	ended := make(chan error, watchers)
	for range watchers / 2 {
		go func() { ended <- lastOf(b.Journal().Watch(ctx, 0), waiting) }()
		go func() { ended <- lastOf(b.Versions().Watch(ctx, 0), waiting) }()
	}
	for range watchers {
		<-waiting
	}
	time.Sleep(10 * time.Millisecond) // so that they wait
	require.NoError(t, b.Close())
	for range watchers {
		require.ErrorIs(t, <-ended, storage.ErrClosed, "a Watch ends with the engine")
	}
}

// lastOf tells of every pair of a list and returns the error of the last.
func lastOf[T any](all iter.Seq2[T, error], pairs chan<- bool) (last error) {
	for _, last = range all {
		pairs <- true
	}
	return last
}

func closingAmidCalls(t testing.TB, h Harness) {
	b := h.open(t)
	const writers = 8
	done := make([]int, writers) // runs that were acknowledged
	var wg sync.WaitGroup
	var begun sync.WaitGroup
	for w := range writers {
		begun.Add(1)
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := b.Journal().Create(t.Context(), aRun(fmt.Sprint(w, "/", i)))
				if i == 0 {
					begun.Done()
				}
				if err != nil {
					assert.ErrorIs(t, err, storage.ErrClosed, "a call is done or refused")
					return
				}
				done[w]++
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	begun.Wait()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, b.Close(), "Close waits for the calls under way")
	wg.Wait()
	if h.Again == nil {
		return
	}
	again := closing(t, h.Again(t, b))
	for w, n := range done {
		require.Positive(t, n)
		_, err := again.Journal().Get(t.Context(), fmt.Sprint(w, "/", n-1))
		require.NoError(t, err, "what was acknowledged is there")
		_, err = again.Journal().Get(t.Context(), fmt.Sprint(w, "/", n))
		require.ErrorIs(t, err, update.ErrNotFound, "what was refused is not there")
	}
}

func nothingLeft(t testing.TB, h Harness) {
	h.use(t) // what the first use starts for good, in a driver or the runtime
	before := runtime.NumGoroutine()
	for range 3 {
		h.use(t)
	}
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before, "a closed engine leaves goroutines behind")
}

// use opens an engine, uses all of it, and closes it.
func (h Harness) use(t testing.TB) {
	b := h.open(t)
	for i := range 20 {
		l, err := b.Locker().Acquire(t.Context(), "core", "me", time.Hour)
		require.NoError(t, err)
		_, err = b.Journal().Create(t.Context(), aRun(fmt.Sprint(i)), update.Event{})
		require.NoError(t, err)
		for _, err := range b.Journal().Watch(t.Context(), 0) {
			require.NoError(t, err)
			break
		}
		saved, err := b.Versions().Write(t.Context(), pages, saving("a", i), ann)
		require.NoError(t, err)
		_, err = b.Versions().PutRelease(t.Context(), pages, releasing(saved[0]), ann)
		require.NoError(t, err)
		for _, err := range b.Versions().Watch(t.Context(), 0) {
			require.NoError(t, err)
			break
		}
		require.NoError(t, b.Locker().Release(t.Context(), l))
	}
	require.NoError(t, b.Close())
}
