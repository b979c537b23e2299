package update_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// engines opens, by name, two handles on fresh state, as two processes have.
var engines = map[string]func(t *testing.T) (storage.Backend, storage.Backend){
	"memory": func(*testing.T) (storage.Backend, storage.Backend) {
		db := memory.New()
		return db, db
	},
	"sqlite": func(t *testing.T) (storage.Backend, storage.Backend) {
		path := filepath.Join(t.TempDir(), "state.db")
		open := func() storage.Backend {
			db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		return open(), open()
	},
}

func newUpdaterBy(t *testing.T, b storage.Backend, p ...update.Package) *update.Updater {
	t.Helper()
	u, err := update.New(update.Config{Store: b, Packages: p})
	require.NoError(t, err)
	t.Cleanup(func() { _ = u.Close() })
	return u
}

func TestARunThatIsDoneHoldsNoLock(t *testing.T) {
	for engine, open := range engines {
		for name, do := range map[string]func(context.Context, *update.Task) error{"good": nothing, "bad": fails("no")} {
			t.Run(engine+", a "+name+" release", func(t *testing.T) {
				mine, theirs := open(t)
				a := update.Step{Name: "a", Do: do, Undo: nothing}
				worker, other := newUpdaterBy(t, mine, app(a)), newUpdaterBy(t, theirs, app(a))
				for range 10 {
					run, err := worker.Start(t.Context(), update.Request{Package: "app", Version: "1.0.0"})
					require.NoError(t, err)
					for begun := time.Now(); !run.State.Done(); {
						require.Less(t, time.Since(begun), time.Minute)
						run, err = other.Get(t.Context(), run.ID)
						require.NoError(t, err)
					}
					_, err = other.Holder(t.Context(), lease.Item("update", update.DefaultLock))
					require.ErrorIs(t, err, lease.ErrFree, "somebody else sees it so")
					if name == "good" { // to the state before
						_, err = other.Rollback(t.Context(), run.ID, ann)
						require.NoError(t, err, "and may begin at once")
						back, err := other.Wait(t.Context(), latestID(t, other))
						require.NoError(t, err)
						require.Equal(t, run.ID, back.Undoes)
						worker = newUpdaterBy(t, mine, forgetful(app(a)))
					}
				}
			})
		}
	}
}

// forgetful is a package of which nothing is installed.
func forgetful(p update.Package) update.Package {
	p.Current = func(context.Context) (string, error) { return "", nil }
	return p
}

func latestID(t *testing.T, u *update.Updater) string {
	t.Helper()
	for run, err := range u.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		return run.ID
	}
	return ""
}

func TestNobodyIsToldThatAnUpdateRunsWhileNoneDoes(t *testing.T) {
	for engine, open := range engines {
		t.Run(engine, func(t *testing.T) {
			mine, theirs := open(t)
			p := app(update.Step{Name: "a", Do: nothing})
			one, other := newUpdaterBy(t, mine, p), newUpdaterBy(t, theirs, p)
			_, err := one.Update(t.Context(), ask)
			require.NoError(t, err)
			var wg sync.WaitGroup
			errs := make(chan error, 100)
			for i := range cap(errs) {
				wg.Go(func() {
					u := one
					if i%2 == 0 {
						u = other
					}
					_, err := u.Start(t.Context(), ask)
					errs <- err
				})
			}
			wg.Wait()
			close(errs)
			for err := range errs {
				require.ErrorIs(t, err, update.ErrUpToDate)
			}
		})
	}
}

func TestALockWithoutARunIsWaitedForSomeSeconds(t *testing.T) {
	for name, tt := range map[string]struct {
		held time.Duration
		want error
		took time.Duration
	}{
		"somebody looks":              {time.Second, nil, time.Second},
		"somebody has it for another": {time.Hour, update.ErrBusy, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := memory.New()
				u := newUpdaterOn(t, state, app(update.Step{Name: "a", Do: nothing}))
				held, err := lease.Hold(t.Context(), state.Locker(), lease.Item("update", update.DefaultLock), lease.HoldConfig{})
				require.NoError(t, err)
				t.Cleanup(func() { held.Release() })
				time.AfterFunc(tt.held, func() { _ = held.Release() })
				begun := time.Now()
				_, err = u.Start(t.Context(), ask)
				require.ErrorIs(t, err, tt.want)
				require.WithinDuration(t, begun.Add(tt.took), time.Now(), 300*time.Millisecond)
			})
		})
	}
}

func TestEachRunThatWasLeftHasALeaseOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		for _, id := range []string{"1", "2", "3"} {
			leave(t, state, func(r *update.Run) { r.ID = id }, after("a", update.PhaseTodo))
			time.Sleep(ttl + time.Second)
		}
		u := newUpdaterOn(t, state, app(update.Step{Name: "a", Do: nothing}))
		require.NoError(t, u.Recover(t.Context()))
		seen := map[int64]bool{}
		for run, err := range u.History(t.Context(), update.Query{}) {
			require.NoError(t, err)
			require.Equal(t, update.StateSucceeded, run.State)
			require.False(t, seen[run.Token], "the lease of another run ended with it")
			seen[run.Token] = true
		}
		require.Len(t, seen, 3)
	})
}

func TestWhoLosesTheLeaseOfARunThatWasLeftGoesOnWithNoLaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		for _, id := range []string{"1", "2"} {
			leave(t, state, func(r *update.Run) { r.ID = id }, after("a", update.PhaseTodo))
			time.Sleep(ttl + time.Second)
		}
		var begun []string
		u := newUpdaterOn(t, state, app(update.Step{Name: "a", Do: func(ctx context.Context, task *update.Task) error {
			begun = append(begun, task.Run.ID)
			held, err := state.Locker().Holder(ctx, lease.Item("update", task.Run.Item))
			if err != nil {
				return err
			}
			if err := state.Locker().Release(ctx, held); err != nil {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}}))
		require.ErrorIs(t, u.Recover(t.Context()), lease.ErrLost)
		require.Equal(t, []string{"1"}, begun)
	})
}
