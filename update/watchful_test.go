package update_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestTheContextOfAHolderLooksAtTheClock(t *testing.T) {
	type key struct{}
	for name, ask := range map[string]func(context.Context) bool{
		"when Err is asked":       func(ctx context.Context) bool { return ctx.Err() == context.Canceled },
		"when the cause is asked": func(ctx context.Context) bool { return context.Cause(ctx) == update.ErrLost },
		"when a value is asked": func(ctx context.Context) bool {
			_ = ctx.Value(key{})
			select {
			case <-ctx.Done():
				return true
			default:
				return false
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *line) {
				held := hold(t, l, update.HoldConfig{})
				derived, cancel := context.WithTimeout(context.WithValue(held.Context(), key{}, 1), time.Hour)
				defer cancel()
				update.StopExpiry(held) // nothing in this process tells of the end
				l.set(nil, nil, 2*ttl)
				time.Sleep(ttl*9/10 - 1)
				require.NoError(t, held.Context().Err())
				require.NoError(t, context.Cause(held.Context()))
				time.Sleep(time.Nanosecond)
				require.True(t, ask(held.Context()))
				require.ErrorIs(t, context.Cause(held.Context()), update.ErrLost)
				require.ErrorIs(t, derived.Err(), context.Canceled, "what is derived knows as soon as it knows")
				require.ErrorIs(t, context.Cause(derived), update.ErrLost)
			})
		})
	}
}

func TestTheContextOfAHolderHasNoDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		held, err := update.Hold(ctx, l, "item", update.HoldConfig{})
		require.NoError(t, err)
		defer held.Release()
		_, has := held.Context().Deadline()
		require.False(t, has, "each renewal would move it")
	})
}

// awake is a Locker whose clock goes on while the machine of its holders sleeps.
type awake struct {
	slept atomic.Int64 // nanoseconds

	mu     sync.Mutex
	leases map[string]update.Lease
	token  int64
	renews int
	fault  error // of Renew
}

func (a *awake) now() time.Time { return time.Now().Add(time.Duration(a.slept.Load())) }

func (a *awake) Acquire(_ context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, held := a.leases[item]; held && a.now().Before(l.ExpiresAt) {
		return update.Lease{}, &update.HeldError{Item: item, Owner: l.Owner, Until: l.ExpiresAt}
	}
	a.token++
	a.leases[item] = update.Lease{Item: item, Owner: owner, Token: a.token, AcquiredAt: a.now(), ExpiresAt: a.now().Add(ttl)}
	return a.leases[item], nil
}

func (a *awake) Renew(_ context.Context, old update.Lease, ttl time.Duration) (update.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renews++
	l := a.leases[old.Item]
	if a.fault != nil {
		return update.Lease{}, a.fault
	}
	if l.Token != old.Token || !a.now().Before(l.ExpiresAt) {
		return update.Lease{}, update.ErrLost
	}
	l.ExpiresAt = a.now().Add(ttl)
	a.leases[old.Item] = l
	return l, nil
}

func (a *awake) Release(_ context.Context, old update.Lease) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leases[old.Item].Token == old.Token {
		delete(a.leases, old.Item)
	}
	return nil
}

func (a *awake) Holder(_ context.Context, item string) (update.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, held := a.leases[item]; held && a.now().Before(l.ExpiresAt) {
		return l, nil
	}
	return update.Lease{}, update.ErrFree
}

// set makes renewals fail, or not.
func (a *awake) set(fault error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

func (a *awake) renewals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.renews
}

// asleep runs f in a bubble, with a function that lets the machine sleep: the
// clock of the program stands, the locker's goes on.
func asleep(t *testing.T, f func(t *testing.T, l *awake, sleep func(time.Duration))) {
	synctest.Test(t, func(t *testing.T) {
		l := &awake{leases: map[string]update.Lease{}}
		slept := func() time.Duration { return time.Duration(l.slept.Load()) }
		update.SleepBy(t, slept, slept)
		f(t, l, func(d time.Duration) { l.slept.Add(int64(d)) })
	})
}

func TestAHolderThatSleptLongerThanItsLeaseDoesNotAct(t *testing.T) {
	asleep(t, func(t *testing.T, l *awake, sleep func(time.Duration)) {
		held := hold(t, l, update.HoldConfig{})
		time.Sleep(10 * time.Second)
		sleep(5 * time.Minute)
		hold(t, l, update.HoldConfig{})
		start := time.Now()
		require.ErrorIs(t, context.Cause(held.Context()), update.ErrLost, "asked at once")
		require.Zero(t, time.Since(start))
	})
}

func TestOneClockThatWentOnIsEnoughForAHolderToDoubt(t *testing.T) {
	never := func() time.Duration { return 0 }
	for name, clocks := range map[string]func(slept func() time.Duration) (system, wall func() time.Duration){
		"the machine slept, and its wall clock is wrong": func(slept func() time.Duration) (system, wall func() time.Duration) {
			return slept, func() time.Duration { return -time.Hour }
		},
		"a virtual machine was paused, and its wall clock set": func(slept func() time.Duration) (system, wall func() time.Duration) {
			return never, slept
		},
	} {
		t.Run(name, func(t *testing.T) {
			asleep(t, func(t *testing.T, l *awake, sleep func(time.Duration)) {
				system, wall := clocks(func() time.Duration { return time.Duration(l.slept.Load()) })
				update.SleepBy(t, system, wall)
				held := hold(t, l, update.HoldConfig{})
				sleep(5 * time.Minute)
				hold(t, l, update.HoldConfig{})
				require.ErrorIs(t, context.Cause(held.Context()), update.ErrLost)
			})
		})
	}
}

func TestAJumpOfTheWallClockPartsNobodyFromALease(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		var jumped atomic.Int64
		update.SleepBy(t, func() time.Duration { return 0 }, func() time.Duration { return time.Duration(jumped.Load()) })
		held := hold(t, l, update.HoldConfig{})
		for _, jump := range []time.Duration{time.Hour, -30 * time.Minute, 365 * 24 * time.Hour, 0} {
			jumped.Store(int64(jump))
			require.NoError(t, held.Context().Err())
			time.Sleep(ttl)
			require.NoError(t, held.Context().Err())
		}
	})
}

func TestAHolderThatDoesNotAskIsToldSoonAfterASleep(t *testing.T) {
	asleep(t, func(t *testing.T, l *awake, sleep func(time.Duration)) {
		held := hold(t, l, update.HoldConfig{})
		sleep(5 * time.Minute)
		start := time.Now()
		<-held.Context().Done()
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}

func TestASleepThatTheLeaseOutlastsChangesNothing(t *testing.T) {
	asleep(t, func(t *testing.T, l *awake, sleep func(time.Duration)) {
		held := hold(t, l, update.HoldConfig{})
		sleep(2 * time.Minute)
		require.NoError(t, held.Context().Err())
		require.Zero(t, l.renewals(), "and nobody is asked")
		time.Sleep(10 * ttl)
		require.NoError(t, held.Context().Err())
	})
}

func TestALeaseOfAnEngineThatSleptTooIsConfirmedAndGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		var slept atomic.Int64
		ahead := func() time.Duration { return time.Duration(slept.Load()) }
		update.SleepBy(t, ahead, ahead)
		held := hold(t, l, update.HoldConfig{})
		for range 10 {
			slept.Add(int64(time.Hour))
			require.NoError(t, held.Context().Err())
			time.Sleep(ttl)
		}
		require.NoError(t, held.Context().Err())
	})
}

func TestAfterASleepTheEngineHasSomeSecondsToConfirmALease(t *testing.T) {
	for name, tt := range map[string]struct {
		outage time.Duration
		want   error
	}{
		"it is back in time":     {2 * time.Second, nil},
		"it is not back in time": {time.Hour, update.ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			asleep(t, func(t *testing.T, l *awake, sleep func(time.Duration)) {
				held := hold(t, l, update.HoldConfig{TTL: 10 * time.Minute})
				time.Sleep(time.Minute)
				sleep(9*time.Minute - 10*time.Second) // longer than the holder may use it
				l.set(errCut)
				time.AfterFunc(tt.outage, func() { l.set(nil) })
				start := time.Now()
				require.ErrorIs(t, context.Cause(held.Context()), tt.want)
				require.LessOrEqual(t, time.Since(start), 6*time.Second)
				require.Less(t, l.renewals(), 10, "the engine is not stormed")
			})
		})
	}
}

func TestARunDoesNothingAfterASleepThatItsLockDidNotOutlast(t *testing.T) {
	for name, act := range map[string]func(ctx context.Context, task *update.Task) error{
		"before the next step": func(context.Context, *update.Task) error { return nil },
		"before it undoes":     func(context.Context, *update.Task) error { return errors.New("no") },
		"before it saves": func(_ context.Context, task *update.Task) error {
			if err := task.Save(context.Background(), "data"); !errors.Is(err, update.ErrLost) {
				return errors.New("saved")
			}
			return nil
		},
		"in the step, if it asks": func(ctx context.Context, _ *update.Task) error {
			if !errors.Is(context.Cause(ctx), update.ErrLost) || ctx.Err() == nil {
				panic("the context of the step knows nothing")
			}
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			asleep(t, func(t *testing.T, l *awake, sleep func(time.Duration)) {
				var c calls
				var other *update.Held
				state := memory.New()
				a := c.step("a")
				a.Timeout = time.Hour
				a.Do = func(ctx context.Context, task *update.Task) error {
					if other != nil {
						return nil
					}
					sleep(5 * time.Minute)
					var err error
					other, err = update.Hold(context.Background(), l, update.DefaultLock, update.HoldConfig{})
					if err != nil {
						return err
					}
					return act(ctx, task)
				}
				u, err := update.New(update.Config{Locker: l, Journal: state.Journal(), Packages: []update.Package{app(a, c.step("b"))}})
				require.NoError(t, err)
				defer u.Close()
				run, err := u.Start(t.Context(), ask)
				require.NoError(t, err)
				time.Sleep(time.Minute)
				require.Empty(t, c.take(), "somebody else has the lock")
				now, err := u.Get(t.Context(), run.ID)
				require.NoError(t, err)
				require.EqualValues(t, 2, now.Rev, "created, and begun; not written to since")

				require.NoError(t, other.Release())
				require.NoError(t, u.Recover(t.Context()))
				run, err = u.Wait(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, []string{"do b"}, c.take())
			})
		})
	}
}
