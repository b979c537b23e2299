package update_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

type cutJournal struct {
	update.Journal
	wire *locktest.Wire
}

func (j cutJournal) Create(ctx context.Context, r update.Run, e ...update.Event) (run update.Run, err error) {
	err = j.wire.Pass(func() (err error) { run, err = j.Journal.Create(ctx, r, e...); return err })
	return run, err
}

func (j cutJournal) Save(ctx context.Context, r update.Run, e ...update.Event) (run update.Run, err error) {
	err = j.wire.Pass(func() (err error) { run, err = j.Journal.Save(ctx, r, e...); return err })
	return run, err
}

func (j cutJournal) Get(ctx context.Context, id string) (run update.Run, err error) {
	err = j.wire.Pass(func() (err error) { run, err = j.Journal.Get(ctx, id); return err })
	return run, err
}

func TestAHolderThatIsCutOffStopsBeforeAnotherGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		wire := &locktest.Wire{Locker: state.Locker()}
		step := c.step("a")
		step.Do = func(ctx context.Context, task *update.Task) error {
			c.add("begin " + task.Run.Owner[:3])
			if task.Run.Owner[:3] == "new" {
				return nil
			}
			<-ctx.Done()
			c.add("stopped: " + context.Cause(ctx).Error())
			// What it still tries to write is refused.
			time.Sleep(2 * ttl / 6)
			c.add("end old")
			return errors.New("too late")
		}
		config := update.Config{Locker: wire, Journal: cutJournal{state.Journal(), wire}, Packages: []update.Package{app(step)}, Owner: "old"}
		old, err := update.New(config)
		require.NoError(t, err)
		run, err := old.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		wire.Set(locktest.ErrCut, nil, 0)

		config.Locker, config.Journal, config.Owner = state.Locker(), state.Journal(), "new"
		next, err := update.New(config)
		require.NoError(t, err)
		for {
			require.NoError(t, next.Recover(t.Context()))
			if run, err = next.Get(t.Context(), run.ID); err != nil || run.State.Done() {
				break
			}
			time.Sleep(time.Second)
		}
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
		wire.Set(nil, nil, 0)
		require.NoError(t, old.Close())
		require.NoError(t, next.Close())
		require.Equal(t, []string{"begin old", "stopped: lease: lost", "begin new"}, c.take()[:3])
		after, err := next.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, run, after)
	})
}

func TestALeaseThatIsLostWhileNobodyElseComesIsTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		wire := &locktest.Wire{Locker: state.Locker()}
		step := c.step("a")
		step.Do = func(ctx context.Context, _ *update.Task) error {
			c.add("do a")
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(ttl / 2):
				return nil
			}
		}
		u, err := update.New(update.Config{Locker: wire, Journal: state.Journal(), Packages: []update.Package{app(step)}})
		require.NoError(t, err)
		defer u.Close()
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		held, err := state.Locker().Holder(t.Context(), lease.Item("update", "core"))
		require.NoError(t, err)
		require.NoError(t, state.Locker().Release(t.Context(), held))
		run, err = u.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"do a", "do a"}, c.take())
		require.Greater(t, run.Token, held.Token, "under a new lease")
	})
}

func TestAJournalThatDropsRequestsAndRepliesForAWhileChangesNothing(t *testing.T) {
	for name, cut := range map[string]func(*locktest.Wire){
		"requests": func(l *locktest.Wire) { l.Set(locktest.ErrCut, nil, 0) },
		"replies":  func(l *locktest.Wire) { l.Set(nil, locktest.ErrCut, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c calls
				state := memory.New()
				wire := &locktest.Wire{Locker: state.Locker()}
				cutOff := func(context.Context, *update.Task) error {
					c.add("do")
					cut(wire)
					time.AfterFunc(500*time.Millisecond, func() { wire.Set(nil, nil, 0) })
					return nil
				}
				a, b := c.step("a"), c.step("b")
				a.Do, b.Do = cutOff, cutOff
				u, err := update.New(update.Config{
					Locker: state.Locker(), Journal: cutJournal{state.Journal(), wire}, Packages: []update.Package{app(a, b)},
				})
				require.NoError(t, err)
				defer u.Close()
				cut(wire)
				time.AfterFunc(500*time.Millisecond, func() { wire.Set(nil, nil, 0) })
				run, err := u.Start(t.Context(), ask)
				require.NoError(t, err)
				time.Sleep(10 * time.Second)
				run, err = u.Wait(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, []string{"do", "do"}, c.take())
				seen := map[string]int{}
				for e, err := range u.Watch(t.Context(), 0) {
					require.NoError(t, err)
					seen[string(e.Kind)+" "+e.Step+" "+string(e.Phase)]++
					if e.Kind == update.EventEnded {
						break
					}
				}
				require.Equal(t, map[string]int{
					"started  ": 1, "step a doing": 1, "step a done": 1, "step b doing": 1, "step b done": 1, "ended  ": 1,
				}, seen, "what was written although its reply was lost is not written again")
				require.Equal(t, update.StateSucceeded, run.State)
			})
		})
	}
}

func TestAStepDoesNotStartWithoutItsIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		wire := &locktest.Wire{Locker: state.Locker()}
		a := c.step("a")
		a.Do = func(context.Context, *update.Task) error {
			c.add("do a")
			wire.Set(locktest.ErrCut, nil, 0) // from now on, say, the disk is full
			return nil
		}
		config := update.Config{
			Locker: state.Locker(), Journal: cutJournal{state.Journal(), wire}, Packages: []update.Package{app(a, c.step("b"))},
		}
		u, err := update.New(config)
		require.NoError(t, err)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait() // until the next intent cannot be written
		require.NoError(t, u.Close())
		require.Equal(t, []string{"do a"}, c.take())
		_, err = state.Locker().Holder(t.Context(), lease.Item("update", "core"))
		require.ErrorIs(t, err, lease.ErrFree)

		config.Journal = state.Journal()
		config.Packages[0].Steps[0] = c.step("a")
		next, err := update.New(config)
		require.NoError(t, err)
		require.NoError(t, next.Recover(t.Context()))
		run, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"do a", "do b"}, c.take())
		require.NoError(t, next.Close())
	})
}

func TestARunThatCannotBeWrittenDownIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, log := memory.New(), new(bytes.Buffer)
		wire := &locktest.Wire{Locker: state.Locker()}
		fills := update.Step{Name: "a", Do: func(context.Context, *update.Task) error {
			time.Sleep(time.Second)
			wire.Set(locktest.ErrCut, nil, 0) // from now on, say, the disk is full
			return nil
		}}
		u, err := update.New(update.Config{
			Locker: state.Locker(), Journal: cutJournal{state.Journal(), wire}, Packages: []update.Package{app(fills)},
			Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		require.NoError(t, err)
		_, err = u.Update(t.Context(), ask)
		require.ErrorIs(t, err, locktest.ErrCut)
		require.NotErrorIs(t, err, lease.ErrLost)
		require.NoError(t, u.Close())
		require.Contains(t, log.String(), `level=ERROR msg="update: run was given up" package=app`)
		require.NotContains(t, log.String(), "taken up")
	})
}

// TestAWishSurvivesAJournalThatFailsForAMoment is about who asks, in another
// process than the one that works.
func TestAWishSurvivesAJournalThatFailsForAMoment(t *testing.T) {
	for name, replies := range map[string]bool{"requests": false, "replies": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := memory.New()
				step := update.Step{Name: "a", Do: func(ctx context.Context, _ *update.Task) error { <-ctx.Done(); return context.Cause(ctx) }}
				config := update.Config{Locker: state.Locker(), Journal: state.Journal(), Packages: []update.Package{app(step)}}
				works, err := update.New(config)
				require.NoError(t, err)
				defer works.Close()
				run, err := works.Start(t.Context(), ask)
				require.NoError(t, err)
				wire := &locktest.Wire{Locker: state.Locker()}
				config.Journal = cutJournal{state.Journal(), wire}
				wishes, err := update.New(config)
				require.NoError(t, err)
				defer wishes.Close()
				if wire.Set(locktest.ErrCut, nil, 0); replies {
					wire.Set(nil, locktest.ErrCut, 0)
				}
				time.AfterFunc(500*time.Millisecond, func() { wire.Set(nil, nil, 0) })
				require.NoError(t, wishes.Cancel(t.Context(), run.ID, ann))
				run, err = works.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, update.ErrCancelled)
				require.Equal(t, &ann, run.Cancel)
			})
		})
	}
}

type lastReplyLost struct{ update.Journal }

func (j lastReplyLost) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	run, err := j.Journal.Save(ctx, r, events...)
	if r.State.Done() {
		return update.Run{}, locktest.ErrCut
	}
	return run, err
}

func TestARunWhoseLastReplyIsLostHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		told := 0
		a := update.Step{Name: "a", Do: nothing}
		u, err := update.New(update.Config{
			Locker: state.Locker(), Journal: lastReplyLost{state.Journal()}, Packages: []update.Package{app(a)},
			OnFinish: func(update.Run) { told++ },
		})
		require.NoError(t, err)
		_, err = u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait() // until the end of the run has to be written again
		require.NoError(t, u.Close())
		require.Equal(t, 1, told)
	})
}

func TestALockThatCouldNotBeReleasedIsReleasedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &locktest.Wire{Locker: memory.New().Locker()}
		free := func() bool {
			_, err := l.Holder(t.Context(), lease.Item("update", "core"))
			return errors.Is(err, lease.ErrFree)
		}
		step := update.Step{Name: "s", Do: nothing}
		u, err := update.New(update.Config{Locker: l, Journal: memory.New().Journal(), Packages: []update.Package{app(step)}})
		require.NoError(t, err)
		defer u.Close()
		l.BreakRelease(locktest.ErrCut)
		_, err = u.Update(t.Context(), ask)
		require.NoError(t, err)
		time.Sleep(20 * time.Second)
		require.False(t, free())
		l.BreakRelease(nil)
		time.Sleep(5 * time.Second)
		require.True(t, free(), "long before the lease ends by itself")

		l.BreakRelease(locktest.ErrCut)
		_, err = u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrUpToDate)
		require.ErrorIs(t, err, locktest.ErrCut)
		require.False(t, free(), "so it is for a run that did not begin")
		began := time.Now()
		require.NoError(t, u.Close())
		require.Less(t, time.Since(began), time.Second, "Close does not wait for the lease")
	})
}

func TestWhatAStepSaidDuringASaveThatFailedIsWrittenLater(t *testing.T) {
	says := func(ends time.Duration) func(context.Context, *update.Task) error {
		return func(_ context.Context, task *update.Task) error {
			fmt.Fprintln(task.Output(), "one")
			task.Progress(1, 10, "first")
			time.Sleep(2 * time.Second)
			fmt.Fprintln(task.Output(), "two")
			task.Progress(2, 10, "second")
			time.Sleep(ends - 2*time.Second)
			return nil
		}
	}
	for name, tt := range map[string]struct {
		step update.Step
		want []string
	}{
		"it has ended": {update.Step{Do: says(3 * time.Second)}, []string{"log one", "progress first", "log two", "progress second", "step done"}},
		"it goes on":   {update.Step{Do: says(time.Minute)}, []string{"log one\ntwo", "progress second", "step done"}},
		"it is being verified": {
			update.Step{Do: prints("zero"), Verify: says(time.Minute)},
			[]string{"log zero", "log one\ntwo", "progress second", "step done"},
		},
		"its verification has begun": {
			update.Step{Do: says(3500 * time.Millisecond), Verify: says(time.Minute)},
			[]string{
				"log one", "progress first", "log two", "progress second",
				"log one", "progress first", "log two", "progress second", "step done",
			},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			state := memory.New()
			wire := &locktest.Wire{Locker: state.Locker()}
			tt.step.Name = "a"
			u, err := update.New(update.Config{
				Locker: state.Locker(), Journal: cutJournal{state.Journal(), wire}, Packages: []update.Package{app(tt.step)},
			})
			require.NoError(t, err)
			defer u.Close()
			run, err := u.Start(t.Context(), ask)
			require.NoError(t, err)
			synctest.Wait()
			wire.Set(locktest.ErrCut, nil, 0) // until after the first save of it was given up
			time.Sleep(6 * time.Second)
			wire.Set(nil, nil, 0)
			_, err = u.Wait(t.Context(), run.ID)
			require.NoError(t, err)
			var got []string
			for _, e := range followed(t, u.Follow(t.Context(), run.ID)) {
				if e.Kind != update.EventStarted && e.Kind != update.EventEnded && e.Phase != update.PhaseDoing {
					require.Equal(t, "a", e.Step)
					got = append(got, string(e.Kind)+" "+e.Message+string(e.Phase))
				}
			}
			require.Equal(t, tt.want, got, name)
		})
	}
}
