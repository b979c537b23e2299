package lv_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestOtherProcessesSeeAReleaseWhileTheyRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		other, asleep := serve(t, lv.Config{VersionStore: s.store}), serve(t, lv.Config{VersionStore: s.store})
		require.Empty(t, other.shows(lv.View{})+asleep.shows(lv.View{}))
		other.run()
		synctest.Wait()
		s.save("a", "1")
		s.publish(lv.Production, "a")
		synctest.Wait()
		require.Equal(t, "a=1", other.shows(lv.View{}))
		require.Empty(t, asleep.shows(lv.View{}))
		asleep.save("b", "1")
		asleep.publish(lv.Production, "b")
		require.Equal(t, "a=1 b=1", asleep.shows(lv.View{}), "its own write brings it up to date")
	})
}

func TestReadersSeeAReleaseWholeOrNotAtAll(t *testing.T) {
	s := newSite(t)
	rows := make([]string, 20)
	for i := range rows {
		rows[i] = fmt.Sprint(i)
	}
	public := s.save("public", "1")
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !stop.Load() {
				names := map[string]bool{}
				count := 0
				// What nobody has published to, and whom no strategy matches, is
				// Production.
				view := lv.View{Env: "none", For: hello("Bye"), After: ""}
				for row, err := range s.Rows(context.Background(), view) {
					if err != nil {
						t.Error(err)
						return
					}
					names[string(row.Content)] = true
					count++
				}
				if len(names) > 1 || count > 0 && count != len(rows) {
					t.Errorf("a reader saw %d rows of %v", count, names)
					return
				}
			}
		})
	}
	for n := range 50 {
		edits := make([]lv.Edit, len(rows))
		for i, row := range rows {
			edits[i] = lv.Edit{Op: lv.OpSave, Row: row, Content: page(fmt.Sprint(n))}
		}
		_, err := s.Edit(t.Context(), ada, edits...)
		require.NoError(t, err)
		s.publish(lv.Production, rows...)
		s.publish(lv.Env(fmt.Sprint("gray", n)), rows[0])
		s.strategy(lv.Strategy{Target: public, Rules: greeted})
	}
	stop.Store(true)
	readers.Wait()
}

func TestAWriterReadsItsOwnWritesWhateverOthersDo(t *testing.T) {
	s := newSite(t)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			// Some of them ask for the table while others write to it already.
			row := fmt.Sprint("row", w)
			for n := range 30 {
				v, err := s.Save(context.Background(), row, page(fmt.Sprint(n)), ada)
				if err == nil {
					_, err = s.Publish(context.Background(), lv.Production, ada, row)
				}
				var read lv.Row
				if err == nil {
					read, err = s.Get(context.Background(), row, lv.View{})
				}
				if err != nil || read.Version != v.ID {
					t.Errorf("%s is %d, not %d: %v", row, read.Version, v.ID, err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// visitors of TestMemoryShowsWhatTheStoreDoes.
var visitors = []lv.Attributes{{}, {"v": "0"}, {"v": "1"}, {"v": "2"}}

// TestMemoryShowsWhatTheStoreDoes does random things through one Service and
// compares after each what it shows, and what a new one does, with the store;
// strategies are resolved here once more.
func TestMemoryShowsWhatTheStoreDoes(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 7))
		s := newSite(t)
		for step := range 40 {
			s.anything(random)
			s.requireLikeStore(s, fmt.Sprintf("seed %d, step %d", seed, step))
			if step%10 == 9 {
				s.requireLikeStore(serve(t, lv.Config{VersionStore: s.store}), fmt.Sprintf("anew at seed %d, step %d", seed, step))
			}
		}
	}
}

func (s site) anything(random *rand.Rand) {
	ctx := context.Background()
	row := string(rune('a' + random.IntN(4)))
	env := []lv.Env{"", "g", "h"}[random.IntN(3)]
	some := lv.VersionID(1 + random.IntN(30))
	var err error
	switch random.IntN(9) {
	case 0, 1:
		s.save(row, fmt.Sprint(random.IntN(3)))
	case 2:
		_, err = s.Delete(ctx, row, ada)
	case 3, 4:
		_, err = s.Publish(ctx, env, ada, row, string(rune('a'+random.IntN(4))))
	case 5:
		_, err = s.Release(ctx, env, ada, some)
	case 6:
		if env != lv.Production {
			_, err = s.Reset(ctx, env, ada, row)
		}
	case 7:
		_, err = s.Revert(ctx, int64(1+random.IntN(60)), ada)
	case 8:
		strategy := lv.Strategy{Target: some, Priority: int64(random.IntN(3)), Rules: is("v", fmt.Sprint(random.IntN(3)))}
		if all, _ := s.Strategies(ctx); len(all) > 2 {
			strategy.ID, strategy.Rev, strategy.Disabled = all[0].ID, all[0].Rev, random.IntN(3) == 0
		}
		_, err = s.SaveStrategy(ctx, strategy, ada)
	}
	if err != nil && !errors.Is(err, lv.ErrNotFound) && !errors.Is(err, lv.ErrStale) {
		require.NoError(s.t, err)
	}
}

func (s site) requireLikeStore(asked site, when string) {
	ctx := context.Background()
	collect := func(rows iter.Seq2[lv.Row, error]) (all []lv.Row) {
		for row, err := range rows {
			require.NoError(s.t, err, when)
			all = append(all, row)
		}
		return all
	}
	for _, v := range []lv.View{
		{}, {Env: "g"}, {Env: "h"}, {Env: "g", Own: true}, {After: "b"}, {Env: "h", After: "a"}, {Env: "h", Rows: []string{"d", "a", "b"}},
	} {
		require.Equal(s.t, collect(s.store.Rows(ctx, s.ID, v)), collect(asked.Rows(ctx, v)), "%s, %+v", when, v)
	}
	for _, visitor := range visitors {
		want := map[string]lv.VersionID{}
		for _, row := range collect(s.store.Rows(ctx, s.ID, lv.View{Env: "g"})) {
			want[row.ID] = row.Version
		}
		for row, v := range s.resolve(visitor) {
			want[row] = v.ID
			if v.Op == lv.OpDelete {
				delete(want, row)
			}
		}
		got := map[string]lv.VersionID{}
		for _, row := range collect(asked.Rows(ctx, lv.View{Env: "g", For: visitor})) {
			got[row.ID] = row.Version
			one, err := asked.Get(ctx, row.ID, lv.View{Env: "g", For: visitor})
			require.NoError(s.t, err)
			require.Equal(s.t, row, one, when)
		}
		require.Equal(s.t, want, got, "%s, %v", when, visitor)
	}
}

// resolve returns what strategies show a visitor, by row.
func (s site) resolve(visitor lv.Attributes) map[string]lv.Version {
	ctx := context.Background()
	shown := map[string]lv.Version{}
	all, err := s.Strategies(ctx)
	require.NoError(s.t, err)
	for _, strategy := range slices.Backward(all) {
		if strategy.Disabled || !strategy.Rules.Match(visitor) {
			continue
		}
		for v, err := range s.History(ctx, lv.Query{Row: strategy.Row}) {
			require.NoError(s.t, err)
			if v.ID == strategy.Target {
				shown[strategy.Row] = v
			}
		}
	}
	return maps.Clone(shown)
}

func TestAReaderThatLostEventsReadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Retention: storage.Retention{Events: 2}})
		s, other, running := serve(t, lv.Config{Store: db}), serve(t, lv.Config{Store: db}), serve(t, lv.Config{Store: db})
		s.save("a", "1")
		s.publish(lv.Production, "a")
		require.Equal(t, "a=1 a=1", other.shows(lv.View{})+" "+running.shows(lv.View{}))
		for n := range 10 {
			s.save("a", fmt.Sprint("b", n))
			s.publish(lv.Production, "a")
		}
		running.run()
		synctest.Wait()
		require.Equal(t, "a=b9", running.shows(lv.View{}))
		other.publish("g", "a")
		require.Equal(t, "a=b9", other.shows(lv.View{}))
		require.Equal(t, "a=b9", other.shows(lv.View{Env: "g", Own: true}))
	})
}

func TestGetFromMemoryDoesNotAllocate(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	s.publish("g", "a")
	s.strategy(lv.Strategy{Target: s.save("a", "2"), Rules: greeted})
	ctx, visitor := context.Background(), hello("Hello")
	for name, v := range map[string]lv.View{"production": {}, "a gray": {Env: "g"}, "another": {Env: "h"}, "a visitor": {For: visitor}} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := s.Get(ctx, "a", v); err != nil {
				t.Error(err)
			}
		}), name)
	}
}

func TestEventsAreKeptForReadersOfATableOnlyWhileItIsRead(t *testing.T) {
	s := newSite(t)
	require.Empty(t, s.shows(lv.View{}))
	s.save("a", "1")
	s.publish(lv.Production, "a")
	require.Equal(t, "a=1", s.shows(lv.View{}))
	require.Zero(t, s.Missed())
}
