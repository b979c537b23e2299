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
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestOtherProcessesSeeAReleaseWhileTheyRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		other, asleep := serve(t, lv.Config{Store: s.store}), serve(t, lv.Config{Store: s.store})
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
				s.requireLikeStore(serve(t, lv.Config{Store: s.store}), fmt.Sprintf("anew at seed %d, step %d", seed, step))
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
	if err != nil && !errors.Is(err, lv.ErrNotFound) && !errors.Is(err, lv.ErrConflict) {
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
		{}, {Env: "g"}, {Env: "h"}, {Env: "g", Own: true}, {After: "b"}, {Env: "h", After: "a"}, {Env: "h", IDs: []string{"d", "a", "b"}},
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
		db := memory.New()
		db.Retention = storage.Retention{Events: 2}
		s, other, running := serve(t, lv.Config{Store: db.Versions()}), serve(t, lv.Config{Store: db.Versions()}), serve(t, lv.Config{Store: db.Versions()})
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

// faulty is a store some of whose calls fail.
type faulty struct {
	lv.VersionStore
	rows, tables, watch atomic.Pointer[error]
	events              atomic.Int32  // how many Watch yields before it fails
	slow                chan struct{} // if set, Rows waits for it
	slowEnd             chan struct{} // if set, Rows waits for it at its end
	stuck               chan struct{} // if set, PutRelease waits for it
}

func (f *faulty) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.Meta) (lv.Release, error) {
	if f.stuck != nil {
		<-f.stuck
	}
	return f.VersionStore.PutRelease(ctx, t, r, by)
}

func failing[T any](fault *atomic.Pointer[error], list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := fault.Load(); err != nil {
			var none T
			yield(none, *err)
			return
		}
		list(yield)
	}
}

func (f *faulty) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	if f.slow != nil {
		<-f.slow
	}
	return func(yield func(lv.Row, error) bool) {
		failing(&f.rows, f.VersionStore.Rows(ctx, t, v))(yield)
		if f.slowEnd != nil {
			<-f.slowEnd
		}
	}
}

func (f *faulty) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return failing(&f.tables, f.VersionStore.Tables(ctx, ids...))
}

func (f *faulty) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		for e, err := range f.VersionStore.Watch(ctx, after) {
			if f.watch.Load() != nil && f.events.Add(-1) < 0 {
				break
			}
			if !yield(e, err) {
				return
			}
		}
		failing(&f.watch, func(func(lv.Event, error) bool) {})(yield)
	}
}

func TestWhatCannotBeReadIsReadLater(t *testing.T) {
	broken := errors.New("broken")
	f := &faulty{VersionStore: memory.New().Versions()}
	s := serve(t, lv.Config{Store: f})
	s.save("a", "1")
	for name, fault := range map[string]*atomic.Pointer[error]{"tables": &f.tables, "rows": &f.rows} {
		fault.Store(&broken)
		_, err := s.Get(t.Context(), "a", lv.View{})
		require.ErrorIs(t, err, broken, name)
		for _, err := range s.Rows(t.Context(), lv.View{}) {
			require.ErrorIs(t, err, broken, name)
		}
		fault.Store(nil)
	}
	f.watch.Store(&broken)
	r, err := s.Publish(t.Context(), lv.Production, ada, "a")
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "written, but not seen")
	require.Equal(t, lv.ReleaseApplied, r.State)
	f.watch.Store(nil)
	again, err := s.Publish(t.Context(), lv.Production, ada, "a")
	require.NoError(t, err, "asking again is safe")
	require.Equal(t, r, again)
	require.Equal(t, "a=1", s.shows(lv.View{}))
}

func TestAnEventThatIsReadAlreadyChangesNothing(t *testing.T) {
	broken := errors.New("broken")
	f := &faulty{VersionStore: memory.New().Versions()}
	s, other := serve(t, lv.Config{Store: f}), serve(t, lv.Config{Store: f.VersionStore})
	_, err := s.service.Table("app", "first").Get(t.Context(), "a", lv.View{}) // from now on it follows
	require.ErrorIs(t, err, lv.ErrNotFound)
	for _, name := range []string{"1", "2"} {
		other.save("a", name)
		other.publish(lv.Production, "a")
	}
	require.Equal(t, "a=2", s.shows(lv.View{}))
	s.save("b", "1")
	f.watch.Store(&broken)
	f.events.Store(2) // those of the first publication
	_, err = s.Publish(t.Context(), lv.Production, ada, "b")
	require.ErrorIs(t, err, broken)
	require.Equal(t, "a=2", s.shows(lv.View{}))
	f.watch.Store(nil)
	s.publish("g", "b")
	require.Equal(t, "a=2 b=1", s.shows(lv.View{}))
}

func TestAWriteNeedsNoFeedWhileNobodyReads(t *testing.T) {
	broken := errors.New("broken")
	f := &faulty{VersionStore: memory.New().Versions()}
	f.watch.Store(&broken)
	f.tables.Store(&broken)
	s := serve(t, lv.Config{Store: f})
	s.save("a", "1")
	s.publish(lv.Production, "a")
	f.tables.Store(nil)
	require.Equal(t, "a=1", s.shows(lv.View{}))
}

func TestATableThatIsReadWhileEventsAreLostIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		db.Retention = storage.Retention{Events: 2}
		f := &faulty{VersionStore: db.Versions(), slowEnd: make(chan struct{})}
		s, other := serve(t, lv.Config{Store: f}), serve(t, lv.Config{Store: db.Versions()})
		other.save("a", "old")
		other.publish(lv.Production, "a")
		seen := make(chan string)
		go func() { seen <- s.shows(lv.View{}) }()
		synctest.Wait()
		for n := range 5 {
			other.save("a", fmt.Sprint(n))
			other.publish(lv.Production, "a")
		}
		s.run()
		synctest.Wait()
		close(f.slowEnd)
		require.Equal(t, "a=4", <-seen)
	})
}

func TestSubscribeSurvivesTheLossOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		db.Retention = storage.Retention{Events: 2}
		s, other := serve(t, lv.Config{Store: db.Versions()}), serve(t, lv.Config{Store: db.Versions()})
		ctx, cancel := context.WithCancel(t.Context())
		var seen map[string]banner
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for rows, err := range lv.Of[banner](s.Table).Subscribe(ctx) {
				require.NoError(t, err)
				seen = rows
			}
		}()
		synctest.Wait()
		for n := range 5 {
			other.save("a", fmt.Sprint(n))
			other.publish(lv.Production, "a")
		}
		s.run()
		synctest.Wait()
		require.Equal(t, map[string]banner{"a": {"4"}}, seen)
		cancel()
		<-ended
	})
}

func TestRunGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		f := &faulty{VersionStore: memory.New().Versions()}
		s, other := serve(t, lv.Config{Store: f}), serve(t, lv.Config{Store: f.VersionStore})
		other.save("a", "1")
		plan := other.plan(lv.Release{Changes: []lv.Change{{ID: "a", Working: true}}})
		other.approve(plan.ID)
		_, err := other.Schedule(t.Context(), plan.ID, time.Now(), bob)
		require.NoError(t, err)
		require.Empty(t, s.shows(lv.View{}))
		f.watch.Store(&broken)
		f.tables.Store(&broken)
		s.run()
		time.Sleep(10 * time.Second)
		f.watch.Store(nil)
		f.tables.Store(nil)
		time.Sleep(5 * time.Second)
		require.Equal(t, "a=1", s.shows(lv.View{}))
	})
}

func TestATableIsReadOnceHoweverManyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{VersionStore: memory.New().Versions(), slow: make(chan struct{})}
		s, other := serve(t, lv.Config{Store: f}), serve(t, lv.Config{Store: f.VersionStore})
		other.save("a", "1")
		other.publish(lv.Production, "a")
		seen := make(chan string, 10)
		for range 10 {
			go func() {
				row, err := s.Get(context.Background(), "a", lv.View{})
				seen <- fmt.Sprint(row.Version, err)
			}()
		}
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Get(impatient, "a", lv.View{})
		require.ErrorIs(t, err, context.DeadlineExceeded)

		// What is published while the table is read is not missed.
		v := s.save("a", "2")
		s.publish(lv.Production, "a")
		f.slow <- struct{}{}
		for range 10 {
			require.Equal(t, fmt.Sprint(v, " <nil>"), <-seen)
		}
	})
}

func TestCloseWaitsForAWriteThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{VersionStore: memory.New().Versions(), stuck: make(chan struct{})}
		s := serve(t, lv.Config{Store: f})
		s.save("a", "1")
		go s.Publish(context.Background(), lv.Production, ada, "a")
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.service.Close() }()
		synctest.Wait()
		require.Empty(t, closed)
		close(f.stuck)
		require.NoError(t, <-closed)
		require.Equal(t, "a=1", s.shows(lv.View{}))
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
