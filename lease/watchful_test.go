package lease_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
)

func TestTheContextOfAHolderLooksAtTheClock(t *testing.T) {
	type key struct{}
	for name, ask := range map[string]func(context.Context) bool{
		"when Err is asked":       func(ctx context.Context) bool { return ctx.Err() == context.Canceled },
		"when the cause is asked": func(ctx context.Context) bool { return context.Cause(ctx) == lease.ErrLost },
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
			bubble(t, func(t *testing.T, l *locktest.Wire) {
				held := hold(t, l, lease.HoldConfig{})
				derived, cancel := context.WithTimeout(context.WithValue(held.Context(), key{}, 1), time.Hour)
				defer cancel()
				lease.StopExpiry(held) // nothing in this process tells of the end
				l.Set(nil, nil, 2*ttl)
				time.Sleep(ttl*9/10 - 1)
				require.NoError(t, held.Context().Err())
				require.NoError(t, context.Cause(held.Context()))
				time.Sleep(time.Nanosecond)
				over := time.Now()
				require.True(t, ask(held.Context()))
				require.Zero(t, time.Since(over), "there is nothing to wait for")
				require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
				require.ErrorIs(t, derived.Err(), context.Canceled, "what is derived knows as soon as it knows")
				require.ErrorIs(t, context.Cause(derived), lease.ErrLost)
			})
		})
	}
}

func TestADerivedContextLooksAtTheClockIfItIsMadeWatchful(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		derived, cancel := context.WithCancel(held.Context())
		defer cancel()
		watchful := lease.Watchful(derived)
		lease.StopExpiry(held)
		l.Set(nil, nil, 2*ttl)
		time.Sleep(ttl * 9 / 10)
		require.NoError(t, derived.Err(), "nobody has told it yet")
		require.ErrorIs(t, watchful.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(watchful), lease.ErrLost)
		require.ErrorIs(t, derived.Err(), context.Canceled)
		require.Equal(t, t.Context(), lease.Watchful(t.Context()), "the context of nobody who holds something")
	})
}

func TestTheContextOfAHolderHasNoDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		held, err := lease.Hold(ctx, l, "item", lease.HoldConfig{})
		require.NoError(t, err)
		defer held.Release()
		_, has := held.Context().Deadline()
		require.False(t, has, "each renewal would move it")
	})
}

func TestAHolderThatSleptLongerThanItsLeaseDoesNotAct(t *testing.T) {
	locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
		held := hold(t, l, lease.HoldConfig{})
		time.Sleep(10 * time.Second)
		sleep(5 * time.Minute)
		hold(t, l, lease.HoldConfig{})
		start := time.Now()
		require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost, "asked at once")
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
			locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
				system, wall := clocks(func() time.Duration { return time.Duration(l.Slept.Load()) })
				locktest.SleepBy(t, system, wall)
				held := hold(t, l, lease.HoldConfig{})
				sleep(5 * time.Minute)
				hold(t, l, lease.HoldConfig{})
				require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
			})
		})
	}
}

func TestAJumpOfTheWallClockPartsNobodyFromALease(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		var jumped atomic.Int64
		locktest.SleepBy(t, func() time.Duration { return 0 }, func() time.Duration { return time.Duration(jumped.Load()) })
		held := hold(t, l, lease.HoldConfig{})
		for _, jump := range []time.Duration{time.Hour, -30 * time.Minute, 365 * 24 * time.Hour, 0} {
			jumped.Store(int64(jump))
			require.NoError(t, held.Context().Err())
			time.Sleep(ttl)
			require.NoError(t, held.Context().Err())
		}
	})
}

func TestAHolderThatDoesNotAskIsToldSoonAfterASleep(t *testing.T) {
	locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
		held := hold(t, l, lease.HoldConfig{})
		sleep(5 * time.Minute)
		start := time.Now()
		<-held.Context().Done()
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}

func TestASleepThatTheLeaseOutlastsChangesNothing(t *testing.T) {
	locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
		held := hold(t, l, lease.HoldConfig{})
		sleep(2 * time.Minute)
		require.NoError(t, held.Context().Err())
		require.Zero(t, l.Renewals(), "and nobody is asked")
		time.Sleep(10 * ttl)
		require.NoError(t, held.Context().Err())
	})
}

func TestALeaseOfAnEngineThatSleptTooIsConfirmedAndGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		var slept atomic.Int64
		ahead := func() time.Duration { return time.Duration(slept.Load()) }
		locktest.SleepBy(t, ahead, ahead)
		held := hold(t, l, lease.HoldConfig{})
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
		"it is not back in time": {time.Hour, lease.ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
				held := hold(t, l, lease.HoldConfig{TTL: 10 * time.Minute})
				time.Sleep(time.Minute)
				sleep(9*time.Minute - 10*time.Second) // longer than the holder may use it
				l.Fail(locktest.ErrCut)
				time.AfterFunc(tt.outage, func() { l.Fail(nil) })
				start := time.Now()
				require.ErrorIs(t, context.Cause(held.Context()), tt.want)
				require.LessOrEqual(t, time.Since(start), 6*time.Second)
				require.Less(t, l.Renewals(), 10, "the engine is not stormed")
			})
		})
	}
}

// slowly is a Locker whose first renewals take as long as their context allows.
type slowly struct {
	*locktest.Awake
	slow     int32 // renewals
	renewals atomic.Int32
}

func (s *slowly) Renew(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if s.renewals.Add(1) > s.slow {
		return s.Awake.Renew(ctx, own, ttl)
	}
	<-ctx.Done()
	return lease.Lease{}, ctx.Err()
}

func TestARequestThatWasUnderWayInASleepHoldsUpNobody(t *testing.T) {
	for name, tt := range map[string]struct {
		learn  func(context.Context)
		slow   int32
		within time.Duration
	}{
		"who asks":                  {func(ctx context.Context) { _ = ctx.Err() }, 1, 5 * time.Second},
		"who is told":               {func(ctx context.Context) { <-ctx.Done() }, 1, 2 * time.Second},
		"who is told by the holder": {func(ctx context.Context) { <-ctx.Done() }, 100, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
				held := hold(t, &slowly{Awake: l, slow: tt.slow}, lease.HoldConfig{})
				time.Sleep(ttl/3 + 3500*time.Millisecond) // the first renewal is under way
				sleep(5 * time.Minute)
				start := time.Now()
				tt.learn(held.Context())
				require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
				require.LessOrEqual(t, time.Since(start), tt.within)
			})
		})
	}
}

func TestAConfirmThatTheMachineSleptOverIsNoRelease(t *testing.T) {
	locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
		held := hold(t, &slowly{Awake: l, slow: 1}, lease.HoldConfig{})
		time.AfterFunc(time.Millisecond, func() { sleep(170 * time.Second) }) // the lease outlasts it, just
		err := held.Confirm()
		require.Error(t, err)
		require.NotErrorIs(t, err, context.Canceled)
		require.NoError(t, held.Context().Err(), "once it is confirmed")
	})
}

func TestAfterASleepAnEngineThatHangsHoldsUpNobody(t *testing.T) {
	locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
		wire := &locktest.Wire{Locker: l}
		held := hold(t, wire, lease.HoldConfig{})
		wire.Set(nil, nil, time.Hour) // whatever its context says
		sleep(5 * time.Minute)
		start := time.Now()
		require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
	})
}
