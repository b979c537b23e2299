package update_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// calls is what the steps of a test were asked to do, in order.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, what)
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// step returns a step whose Do and Undo are recorded.
func (c *calls) step(name string) update.Step {
	note := func(what string) func(context.Context, *update.Task) error {
		return func(context.Context, *update.Task) error { c.add(what + " " + name); return nil }
	}
	return update.Step{Name: name, Do: note("do"), Undo: note("undo")}
}

func fails(text string) func(context.Context, *update.Task) error {
	return func(context.Context, *update.Task) error { return errors.New(text) }
}

// app is a package with one release and these steps.
func app(steps ...update.Step) update.Package {
	return update.Package{Name: "app", Source: versions{"1.0.0"}, Steps: steps}
}

const ttl = 3 * time.Minute // of a lease

var ask = update.Request{Package: "app"}

func phases(run update.Run) map[string]update.Phase {
	all := map[string]update.Phase{}
	for _, s := range run.Steps {
		all[s.Name] = s.Phase
	}
	return all
}

func TestStepsRunInOrderAndAllChecksComeFirst(t *testing.T) {
	var c calls
	a, b := c.step("a"), c.step("b")
	a.Check = func(context.Context, *update.Task) error { c.add("check a"); return nil }
	b.Check = func(context.Context, *update.Task) error { c.add("check b"); return nil }
	a.Verify = func(context.Context, *update.Task) error { c.add("verify a"); return nil }
	u := newUpdater(t, app(a, b))
	run, err := u.Update(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, []string{"check a", "check b", "do a", "verify a", "do b"}, c.take())
	require.Equal(t, update.StateSucceeded, run.State)
	require.Equal(t, 100, run.Percent)
	require.False(t, run.EndedAt.IsZero())
	status, err := u.Status(t.Context(), "app")
	require.NoError(t, err)
	require.Equal(t, update.Status{Package: "app", Version: "1.0.0"}, status)
}

func TestAFailureIsUndoneInReverseOrder(t *testing.T) {
	tests := []struct {
		name   string
		broken func(*update.Step)
		calls  []string
		reason string
	}{
		{"Do fails", func(s *update.Step) { s.Do = fails("disk on fire") },
			[]string{"do a", "do b", "undo c", "undo b", "undo a"}, `step "c": disk on fire`},
		{"Verify fails", func(s *update.Step) { s.Verify = fails("unhealthy") },
			[]string{"do a", "do b", "do c", "undo c", "undo b", "undo a"}, `step "c": verify: unhealthy`},
		{"Do panics", func(s *update.Step) { s.Do = func(context.Context, *update.Task) error { panic("oh") } },
			[]string{"do a", "do b", "undo c", "undo b", "undo a"}, `step "c": panic: oh`},
		{"Probe says that nothing happened", func(s *update.Step) {
			s.Do = fails("refused")
			s.Probe = func(context.Context, *update.Task) (update.Applied, error) { return update.AppliedNo, nil }
		}, []string{"do a", "do b", "undo b", "undo a"}, `step "c": refused`},
		{"it takes too long", func(s *update.Step) {
			s.Timeout = time.Second
			s.Do = func(ctx context.Context, _ *update.Task) error { <-ctx.Done(); return ctx.Err() }
		}, []string{"do a", "do b", "undo c", "undo b", "undo a"}, `after 1s`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c calls
				last := c.step("c")
				tt.broken(&last)
				u := newUpdater(t, app(c.step("a"), c.step("b"), last, c.step("never")))
				run, err := u.Update(t.Context(), ask)
				require.ErrorIs(t, err, update.ErrFailed)
				require.ErrorContains(t, err, tt.reason)
				require.Equal(t, update.StateRolledBack, run.State)
				require.Equal(t, tt.calls, c.take())
				require.Equal(t, update.PhaseTodo, phases(run)["never"])
				for _, s := range run.Steps[:3] {
					require.Equal(t, update.PhaseUndone, s.Phase)
					require.Equal(t, s.Name == "c", s.Error != "", "the record says which step failed")
				}
				require.Equal(t, run.Reason, `step "c": `+run.Steps[2].Error, "and why")

				status, err := u.Status(t.Context(), "app")
				require.NoError(t, err)
				require.Equal(t, update.Status{Package: "app"}, status, "the lock is free and nothing is installed")
			})
		})
	}
}

func TestAFailedUndoIsKeptForAPersonAndCanBeTriedAgain(t *testing.T) {
	var c calls
	broken := true
	b := c.step("b")
	b.Undo = func(context.Context, *update.Task) error {
		if broken {
			return errors.New("still on fire")
		}
		c.add("undo b")
		return nil
	}
	bad := c.step("c")
	bad.Do = fails("no")
	u := newUpdater(t, app(c.step("a"), b, bad))
	run, err := u.Update(t.Context(), ask)
	require.ErrorIs(t, err, update.ErrFailed)
	require.Equal(t, update.StateFailed, run.State)
	require.Contains(t, run.Reason, `step "c": no; then undo of step "b": still on fire`)
	require.Equal(t, []string{"do a", "do b", "undo c"}, c.take())

	for range 2 {
		back, err := u.Rollback(t.Context(), run.ID, update.By{})
		require.NoError(t, err)
		for _, s := range back.Steps {
			require.Empty(t, s.Error, "what failed is in the record of its run")
		}
		back, err = u.Wait(t.Context(), back.ID)
		if broken {
			require.Equal(t, update.StateFailed, back.State)
			broken = false
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []string{"undo b", "undo a"}, c.take(), "what was undone is not undone again")
	}
}

func TestAFailedCheckChangesNothing(t *testing.T) {
	var c calls
	b := c.step("b")
	b.Check = fails("no space")
	u := newUpdater(t, app(c.step("a"), b))
	_, err := u.Plan(t.Context(), ask)
	require.ErrorContains(t, err, `check of step "b": no space`)
	_, err = u.Start(t.Context(), ask)
	require.ErrorIs(t, err, update.ErrFailed)
	require.ErrorContains(t, err, `check of step "b": no space`)
	require.Empty(t, c.take())
	status, err := u.Status(t.Context(), "app")
	require.NoError(t, err)
	require.Nil(t, status.Lease)
	for range u.History(t.Context(), update.Query{}) {
		t.Fatal("there is a run")
	}
}

func TestWhoAsksForSomethingElseIsRefused(t *testing.T) {
	off := errors.New("frozen until Monday")
	gated := app(update.Step{Name: "s", Do: nothing})
	gated.Name = "gated"
	gated.Gate = func(context.Context, update.Request) error { return fmt.Errorf("%w: %w", update.ErrDisabled, off) }
	u := newUpdater(t, app(update.Step{Name: "s", Do: nothing}), gated)
	long := string(make([]byte, 257))
	for name, tt := range map[string]struct {
		request update.Request
		err     error
	}{
		"no package":         {update.Request{}, update.ErrInvalid},
		"unknown package":    {update.Request{Package: "other"}, update.ErrNotFound},
		"long version":       {update.Request{Package: "app", Version: long}, update.ErrInvalid},
		"long actor":         {update.Request{Package: "app", By: update.By{Actor: long}}, update.ErrInvalid},
		"long request id":    {update.Request{Package: "app", By: update.By{RequestID: long}}, update.ErrInvalid},
		"switched off":       {update.Request{Package: "gated"}, update.ErrDisabled},
		"switched off (why)": {update.Request{Package: "gated"}, off},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := u.Start(t.Context(), tt.request)
			require.ErrorIs(t, err, tt.err)
			_, err = u.Plan(t.Context(), tt.request)
			require.ErrorIs(t, err, tt.err)
		})
	}
}

func TestACopyOfARunSharesNothingWithIt(t *testing.T) {
	full := func() update.Run {
		return update.Run{
			Steps:   []update.StepRecord{{Name: "a", Data: []byte("data")}},
			Release: update.Release{Digest: []byte("digest"), Signature: []byte("signature")},
			Cancel:  &update.By{Actor: "ann"},
		}
	}
	run := full()
	other := run.Clone()
	require.Equal(t, full(), other)
	other.Steps[0].Name, other.Cancel.Actor = "b", "bob"
	clear(other.Steps[0].Data)
	clear(other.Release.Digest)
	clear(other.Release.Signature)
	require.Equal(t, full(), run)
}

func TestOfManyRequestsAtOnceExactlyOneRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := update.Step{Name: "slow", Do: func(context.Context, *update.Task) error { time.Sleep(time.Minute); return nil }}
		other := app(slow)
		other.Name = "other"
		u := newUpdater(t, app(slow), other)
		var busy, started int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				name := "app"
				if i%2 == 1 {
					name = "other" // shares the lock
				}
				_, err := u.Start(t.Context(), update.Request{Package: name})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					started++
					return
				}
				busy++
				var held *lease.HeldError
				if !errors.Is(err, update.ErrBusy) || !errors.As(err, &held) || held.Item != "update/core" || held.Until.IsZero() {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Equal(t, 1, started)
		require.Equal(t, 199, busy)
	})
}

func TestPackagesWithTheirOwnLockRunAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := update.Step{Name: "slow", Do: func(context.Context, *update.Task) error { time.Sleep(time.Minute); return nil }}
		other := app(slow)
		other.Name, other.Lock = "other", "another lock"
		u := newUpdater(t, app(slow), other)
		first, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		second, err := u.Start(t.Context(), update.Request{Package: "other"})
		require.NoError(t, err)
		start := time.Now()
		_, err = u.Wait(t.Context(), first.ID)
		require.NoError(t, err)
		_, err = u.Wait(t.Context(), second.ID)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 2*time.Minute)
	})
}

func TestARepeatedRequestReturnsTheFirstRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(update.Step{Name: "s", Do: func(context.Context, *update.Task) error {
			time.Sleep(time.Minute)
			return nil
		}}))
		r := update.Request{Package: "app", By: update.By{RequestID: "order-7"}}
		ids := map[string]bool{}
		for range 3 {
			run, err := u.Start(t.Context(), r)
			require.NoError(t, err)
			ids[run.ID] = true
			time.Sleep(45 * time.Second) // while it runs, and when it is done
		}
		require.Len(t, ids, 1)
		r.Version = "1.0.0"
		_, err := u.Start(t.Context(), r)
		require.ErrorIs(t, err, update.ErrInvalid, "an id stands for one request")
	})
}

func TestAnUpdateGoesOnWhenItsCallerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(update.Step{Name: "s", Do: func(ctx context.Context, _ *update.Task) error {
			time.Sleep(time.Minute)
			return ctx.Err()
		}}))
		ctx, cancel := context.WithCancel(t.Context())
		run, err := u.Start(ctx, ask)
		require.NoError(t, err)
		cancel()
		_, err = u.Wait(ctx, run.ID)
		require.ErrorIs(t, err, context.Canceled)
		run, err = u.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}

func TestOnFinishIsToldOfEveryRunOnceItsLockIsFree(t *testing.T) {
	state := memory.New()
	told := make(chan update.Run, 10)
	var u *update.Updater
	bad := app(update.Step{Name: "s", Do: fails("no")})
	bad.Name = "bad"
	u, err := update.New(update.Config{
		Store:    state,
		Packages: []update.Package{app(update.Step{Name: "s", Do: nothing}), bad},
		OnFinish: func(run update.Run) {
			if _, err := state.Locker().Holder(context.Background(), lease.Item("update", "core")); !errors.Is(err, lease.ErrFree) {
				t.Error("the lock is not free:", err)
			}
			told <- run
		},
	})
	require.NoError(t, err)
	good, err := u.Update(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, good.ID, (<-told).ID)
	_, err = u.Update(t.Context(), update.Request{Package: "bad"})
	require.ErrorIs(t, err, update.ErrFailed)
	require.Equal(t, update.StateRolledBack, (<-told).State)
	require.NoError(t, u.Close())
	require.Empty(t, told)
}
