package lv_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// lazy is a store that takes a minute for a release or an edit, but for those
// that its maker makes, and breaks off when it is told to.
type lazy struct {
	lv.VersionStore
	hasty bool // while nothing is to take time
	deaf  bool // its events do not come
	puts  int
}

func (l *lazy) work(ctx context.Context) error {
	if l.hasty {
		return nil
	}
	l.puts++
	select {
	case <-time.After(time.Minute):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lazy) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	if err := l.work(ctx); err != nil {
		return lv.Release{}, err
	}
	return l.VersionStore.PutRelease(ctx, t, r, by)
}

func (l *lazy) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	if err := l.work(ctx); err != nil {
		return nil, err
	}
	return l.VersionStore.Write(ctx, t, edits, by)
}

func (l *lazy) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	if !l.deaf {
		return l.VersionStore.Watch(ctx, after)
	}
	return func(yield func(lv.Event, error) bool) {
		<-ctx.Done()
		yield(lv.Event{}, context.Cause(ctx))
	}
}

// lazySite is a site whose store is lazy, its log, and a call's result and time.
type lazySite struct {
	site
	slow  *lazy
	log   bytes.Buffer
	began time.Time
}

func newLazySite(t *testing.T, c lv.Config) *lazySite {
	s := &lazySite{slow: &lazy{VersionStore: memory.New().Versions(), hasty: true}}
	c.VersionStore, c.Logger = s.slow, slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s.site = serve(t, c)
	return s
}

// start makes the store lazy, runs f, and returns what it returned.
func (s *lazySite) start(f func() error) <-chan error {
	s.slow.hasty, s.began = false, time.Now()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	time.Sleep(time.Second)
	return ended
}

// requireTook says how long it is since start began.
func (s *lazySite) requireTook(want time.Duration) {
	s.t.Helper()
	require.Equal(s.t, want, time.Since(s.began))
}

func (s *lazySite) publishes() error {
	_, err := s.Publish(context.Background(), lv.Production, ada, "a")
	return err
}

func limited(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestShutdownWaitsForAWriteThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLazySite(t, lv.Config{})
		s.save("a", "1")
		wrote := s.start(s.publishes)
		require.NoError(t, s.service.Shutdown(limited(t, time.Hour)))
		s.requireTook(time.Minute)
		require.NoError(t, <-wrote)
		require.Equal(t, "a=1", s.shows(lv.View{}), "reads go on")
		require.ErrorIs(t, s.publishes(), lv.ErrClosed)
		require.ErrorIs(t, s.service.Run(t.Context()), lv.ErrClosed)
	})
}

func TestAWriteIsEndedWhenThereIsNoTimeForIt(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(*testing.T, *lv.Service) error
		want error
		took time.Duration
	}{
		"by Shutdown": {func(t *testing.T, s *lv.Service) error { return s.Shutdown(limited(t, 10*time.Second)) }, context.DeadlineExceeded, 11 * time.Second},
		"by Close":    {func(_ *testing.T, s *lv.Service) error { return s.Close() }, nil, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLazySite(t, lv.Config{})
				s.save("a", "1")
				wrote := s.start(s.publishes)
				require.ErrorIs(t, c.stop(t, s.service), c.want)
				s.requireTook(c.took)
				require.ErrorIs(t, <-wrote, lv.ErrClosed)
				require.Empty(t, s.shows(lv.View{}))
				require.NoError(t, s.service.Close())
				require.NoError(t, s.service.Shutdown(t.Context()))
			})
		})
	}
}

func TestCloseEndsTheWaitForAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLazySite(t, lv.Config{})
		s.save("a", "1")
		require.Empty(t, s.shows(lv.View{}))
		s.slow.deaf = true
		wrote := s.start(func() error {
			s.slow.hasty = true
			return s.publishes()
		})
		require.NoError(t, s.service.Close())
		s.requireTook(time.Second)
		require.ErrorIs(t, <-wrote, lv.ErrClosed)
		applied := 0
		for range s.Releases(t.Context(), lv.Query{State: lv.ReleaseApplied}) {
			applied++
		}
		require.Equal(t, 1, applied, "it is written")
	})
}

// scheduled schedules three releases to which the same rows are published.
func (s *lazySite) scheduled() (plans []lv.Release) {
	for i := range 3 {
		row := fmt.Sprint("row", i)
		plans = append(plans, s.due(time.Duration(i-3)*time.Minute, lv.Change{Row: row, To: s.save(row, "1")}))
	}
	return plans
}

func (s *lazySite) runs() error { return s.service.Run(context.Background()) }

func TestShutdownEndsRunBetweenTwoReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLazySite(t, lv.Config{})
		plans := s.scheduled()
		ran := s.start(s.runs)
		require.NoError(t, s.service.Shutdown(context.Background()))
		s.requireTook(time.Minute)
		require.ErrorIs(t, <-ran, lv.ErrClosed)
		require.Equal(t, lv.ReleaseApplied, s.stored(plans[0].ID).State)
		require.Equal(t, lv.ReleaseScheduled, s.stored(plans[1].ID).State)
		require.Equal(t, 1, s.slow.puts)
		require.Empty(t, s.log.String(), "nothing has failed")
	})
}

func TestAReleaseThatIsEndedHasNotFailed(t *testing.T) {
	for name, stop := range map[string]func(*testing.T, *lv.Service){
		"by Close":    func(t *testing.T, s *lv.Service) { require.NoError(t, s.Close()) },
		"by Shutdown": func(t *testing.T, s *lv.Service) { require.Error(t, s.Shutdown(limited(t, time.Second))) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLazySite(t, lv.Config{})
				plans := s.scheduled()
				ran := s.start(s.runs)
				stop(t, s.service)
				require.ErrorIs(t, <-ran, lv.ErrClosed)
				require.Equal(t, 1, s.slow.puts)
				require.Empty(t, s.log.String(), "nothing has failed")
				for _, plan := range plans {
					require.Equal(t, lv.ReleaseScheduled, s.stored(plan.ID).State)
				}
				s.slow.hasty = true
				next := serve(t, lv.Config{VersionStore: s.slow})
				next.run()
				synctest.Wait()
				require.Equal(t, "row0=1 row1=1 row2=1", next.shows(lv.View{}))
			})
		})
	}
}

func TestAReleaseThatMeetsAConflictDuringAShutdownBecomesFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLazySite(t, lv.Config{})
		plan := s.scheduled()[0]
		s.publish(lv.Production, "row0")
		ran := s.start(s.runs)
		require.NoError(t, s.service.Shutdown(context.Background()))
		s.requireTook(2 * time.Minute)
		require.ErrorIs(t, <-ran, lv.ErrClosed)
		require.Equal(t, lv.ReleaseFailed, s.stored(plan.ID).State)
	})
}

func TestShutdownEndsRetentionBetweenTwoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLazySite(t, lv.Config{Retain: lv.Retention{Versions: 1}})
		for i := range 251 {
			s.save("a", fmt.Sprint(i))
		}
		ran := s.start(s.runs)
		require.NoError(t, s.service.Shutdown(context.Background()))
		s.requireTook(time.Minute)
		require.ErrorIs(t, <-ran, lv.ErrClosed)
		kept := 0
		for range s.History(t.Context(), lv.Query{}) {
			kept++
		}
		require.Equal(t, 151, kept, "one write forgets a hundred")
		require.Empty(t, s.log.String())
	})
}

func TestRunThatOnlyWaitsEndsAtOnce(t *testing.T) {
	for name, c := range map[string]lv.Config{"runs": {}, "only follows": {ReadOnly: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLazySite(t, c)
				ran := s.start(s.runs)
				require.NoError(t, s.service.Shutdown(context.Background()))
				s.requireTook(time.Second)
				require.ErrorIs(t, <-ran, lv.ErrClosed)
				require.Empty(t, s.log.String())
			})
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLazySite(t, lv.Config{})
		plans := s.scheduled()
		ctx := limited(t, time.Second)
		ran := s.start(func() error { return s.service.Run(ctx) })
		require.ErrorIs(t, <-ran, context.DeadlineExceeded)
		s.requireTook(time.Second)
		require.Equal(t, lv.ReleaseScheduled, s.stored(plans[0].ID).State)
		require.Empty(t, s.log.String())
	})
}

func TestCloseWaitsAndRefusesWrites(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	running := make(chan error)
	go func() { running <- s.service.Run(context.Background()) }()
	require.NoError(t, s.service.Close())
	require.ErrorIs(t, <-running, lv.ErrClosed)
	_, err := s.Save(t.Context(), "a", page("2"), ada)
	require.ErrorIs(t, err, lv.ErrClosed)
	require.ErrorIs(t, s.service.Run(t.Context()), lv.ErrClosed)
	require.NoError(t, s.service.Close())
}
