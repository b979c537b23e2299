package lv_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// faulty is a store some of whose calls fail.
type faulty struct {
	lv.VersionStore
	rows, tables, watch atomic.Pointer[error]
	events              atomic.Int32  // how many Watch yields before it fails
	slow                chan struct{} // if set, Rows waits for it
	slowEnd             chan struct{} // if set, Rows waits for it at its end
	place               chan struct{} // if set, the next Tables waits for it
}

// errPanic makes a call panic.
var errPanic = errors.New("panic")

func failing[T any](fault *atomic.Pointer[error], list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := fault.Load(); err != nil {
			if *err == errPanic {
				panic("the disk is gone")
			}
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
	if place := f.place; place != nil {
		f.place = nil
		<-place
	}
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
	s := serve(t, lv.Config{VersionStore: f})
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

func TestAStoreThatPanicsStopsNobodyElse(t *testing.T) {
	for i, name := range []string{"tables", "rows", "watch"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faulty{VersionStore: memory.New().Versions()}
				s := serve(t, lv.Config{VersionStore: f})
				s.save("a", "1")
				fault := []*atomic.Pointer[error]{&f.tables, &f.rows, &f.watch}[i]
				fault.Store(&errPanic)
				if name == "watch" {
					require.Equal(t, "", s.shows(lv.View{}))
					require.Panics(t, func() { _, _ = s.Publish(t.Context(), lv.Production, ada, "a") })
				} else {
					require.Panics(t, func() { _, _ = s.Get(t.Context(), "a", lv.View{}) })
				}
				fault.Store(nil)
				s.publish(lv.Production, "a")
				require.Equal(t, "a=1", s.shows(lv.View{}))
			})
		})
	}
}

func TestAnEventThatIsReadAlreadyChangesNothing(t *testing.T) {
	broken := errors.New("broken")
	f := &faulty{VersionStore: memory.New().Versions()}
	s, other := serve(t, lv.Config{VersionStore: f}), serve(t, lv.Config{VersionStore: f.VersionStore})
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
	s := serve(t, lv.Config{VersionStore: f})
	s.save("a", "1")
	s.publish(lv.Production, "a")
	f.tables.Store(nil)
	require.Equal(t, "a=1", s.shows(lv.View{}))
}

func TestATableThatIsReadWhileEventsAreLostIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Retention: storage.Retention{Events: 2}})
		f := &faulty{VersionStore: db.Versions(), slowEnd: make(chan struct{})}
		s, other := serve(t, lv.Config{VersionStore: f}), serve(t, lv.Config{Store: db})
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
		db := memory.Open(memory.Config{Retention: storage.Retention{Events: 2}})
		s, other := serve(t, lv.Config{Store: db}), serve(t, lv.Config{Store: db})
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

func TestSubscribeGoesOnWhenTheTableCanBeReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{VersionStore: memory.New().Versions()}
		s := serve(t, lv.Config{VersionStore: f})
		s.save("a", "1")
		s.publish(lv.Production, "a")
		broken := errors.New("broken")
		f.rows.Store(&broken)
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for rows, err := range lv.Of[banner](s.Table).Subscribe(ctx) {
				seen = append(seen, fmt.Sprint(rows, errors.Is(err, broken)))
			}
		}()
		synctest.Wait()
		require.Equal(t, []string{"map[] true"}, seen)
		f.rows.Store(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"map[] true", "map[a:{1}] false"}, seen)
		cancel()
		<-ended
	})
}

func TestRunGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		f := &faulty{VersionStore: memory.New().Versions()}
		s, other := serve(t, lv.Config{VersionStore: f}), serve(t, lv.Config{VersionStore: f.VersionStore})
		other.save("a", "1")
		plan := other.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
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

func TestAReleaseIsAppliedThatIsScheduledWhileRunFindsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{VersionStore: memory.New().Versions(), place: make(chan struct{})}
		place := f.place
		s, other := serve(t, lv.Config{VersionStore: f}), serve(t, lv.Config{VersionStore: f.VersionStore})
		other.save("a", "1")
		plan := other.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
		other.approve(plan.ID)
		// A reader looks for the place from which to follow, and Run reads what
		// is planned. Then something is, before the place.
		go s.Get(context.Background(), "a", lv.View{})
		synctest.Wait()
		s.run()
		synctest.Wait()
		_, err := other.Schedule(t.Context(), plan.ID, time.Now().Add(time.Minute), bob)
		require.NoError(t, err)
		close(place)
		time.Sleep(2 * time.Minute)
		require.Equal(t, "a=1", s.shows(lv.View{}))
	})
}

func TestATableIsReadOnceHoweverManyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{VersionStore: memory.New().Versions(), slow: make(chan struct{})}
		s, other := serve(t, lv.Config{VersionStore: f}), serve(t, lv.Config{VersionStore: f.VersionStore})
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

func TestAReaderOfATableThatIsMadeMeanwhileNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{VersionStore: memory.New().Versions(), slow: make(chan struct{})}
		s, other := serve(t, lv.Config{VersionStore: f}), serve(t, lv.Config{VersionStore: f.VersionStore})
		seen := make(chan string)
		go func() { seen <- s.shows(lv.View{}) }()
		synctest.Wait() // the table was not there
		for _, name := range []string{"1", "2"} {
			other.save("a", name)
			other.publish(lv.Production, "a")
		}
		close(f.slow)
		before := <-seen
		broken := errors.New("broken")
		f.watch.Store(&broken)
		f.events.Store(2) // as far as a=1
		_, err := s.Publish(t.Context(), "g", ada, "a")
		require.ErrorIs(t, err, broken)
		require.Equal(t, "", before)
		require.Equal(t, "a=1", s.shows(lv.View{}))
	})
}

// overtaken is a store in which somebody gives the first release that is due
// another time before it is applied.
type overtaken struct {
	lv.VersionStore
	once sync.Once
	at   time.Time
}

func (o *overtaken) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	var err error
	if r.State == lv.ReleaseApplied && r.ID != 0 {
		o.once.Do(func() {
			later := r
			later.State, later.At = lv.ReleaseScheduled, o.at
			_, err = o.VersionStore.PutRelease(ctx, t, later, bob)
		})
	}
	if err != nil {
		return lv.Release{}, err
	}
	return o.VersionStore.PutRelease(ctx, t, r, by)
}

func TestAReleaseThatIsRescheduledAtTheLastMomentHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		s := serve(t, lv.Config{
			VersionStore: &overtaken{VersionStore: memory.New().Versions(), at: time.Now().Add(3 * time.Hour)}, Logger: lines(&log),
		})
		r := s.due(time.Hour, lv.Change{To: s.save("a", "1")})
		log.take()
		s.run()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, lv.ReleaseScheduled, s.stored(r.ID).State)
		require.Empty(t, log.take())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, lv.ReleaseApplied, s.stored(r.ID).State)
		require.NotContains(t, log.take(), "level=ERROR")
	})
}
