package closing_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/closing"
)

var errShut, errCut = errors.New("shut"), errors.New("cut short")

// work enters the door and takes as long as it may, up to a time. It returns
// what ended it.
func work(t *testing.T, d *closing.Door, atMost time.Duration) <-chan error {
	ctx, done, err := d.Enter(t.Context())
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		defer done()
		select {
		case <-ctx.Done():
			time.Sleep(time.Second) // it cleans up
			ended <- context.Cause(ctx)
		case <-time.After(atMost):
			ended <- nil
		}
	}()
	return ended
}

// within runs f and returns how long that took.
func within(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func TestShutdownWaitsForASafePointAndCutsShortWhatHasNoTime(t *testing.T) {
	for _, c := range []struct {
		name         string
		takes, limit time.Duration
		want, cut    error
		after        time.Duration
	}{
		{"in time", time.Minute, time.Hour, nil, nil, time.Minute},
		{"too long", time.Hour, time.Minute, context.DeadlineExceeded, errCut, time.Minute + time.Second},
		{"no time at all", time.Hour, 0, context.DeadlineExceeded, errCut, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := closing.NewDoor(errShut, errCut)
				ended := work(t, d, c.takes)
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				require.Equal(t, c.after, within(func() { require.ErrorIs(t, d.Shutdown(ctx), c.want) }))
				require.ErrorIs(t, <-ended, c.cut)
				require.NoError(t, d.Shutdown(ctx), "there is nothing to cut short any more")
				d.Close()
			})
		})
	}
}

func TestCloseEndsTheWorkAtOnceAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		first, second := work(t, d, time.Hour), work(t, d, time.Hour)
		require.Equal(t, time.Second, within(d.Close))
		require.ErrorIs(t, <-first, errCut)
		require.ErrorIs(t, <-second, errCut)
		require.Zero(t, within(d.Close))
		require.NoError(t, d.Shutdown(t.Context()))
	})
}

func TestShutdownAndCloseMayMeetInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		ended := work(t, d, time.Hour)
		took := make(chan time.Duration, 4)
		for range 2 {
			go func() { took <- within(func() { _ = d.Shutdown(context.Background()) }) }()
		}
		time.Sleep(time.Minute)
		for range 2 {
			go func() { took <- within(d.Close) }()
		}
		all := []time.Duration{<-took, <-took, <-took, <-took}
		slices.Sort(all)
		require.Equal(t, []time.Duration{time.Second, time.Second, time.Minute + time.Second, time.Minute + time.Second}, all)
		require.ErrorIs(t, <-ended, errCut)
	})
}

func TestNothingBeginsOnceTheDoorIsShutButWhatWorkBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		ctx, done, err := d.Enter(t.Context())
		require.NoError(t, err)
		shut := make(chan error, 1)
		go func() { shut <- d.Shutdown(context.Background()) }()
		<-d.Stopping().Done()
		_, _, err = d.Enter(t.Context())
		require.ErrorIs(t, err, errShut)
		_, doneToo, err := d.Enter(ctx)
		require.NoError(t, err)
		done()
		synctest.Wait()
		require.Empty(t, shut, "there is work left")
		doneToo()
		require.NoError(t, <-shut)
		_, _, err = d.Enter(ctx)
		require.ErrorIs(t, err, errShut, "the work is over")
		require.NoError(t, d.Ending().Err())
		d.Close()
		require.ErrorIs(t, context.Cause(d.Ending()), errCut)
	})
}

func TestNothingBeginsOnceThereIsNoMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		ctx, done, err := d.Enter(t.Context())
		require.NoError(t, err)
		go d.Close()
		<-ctx.Done()
		_, _, err = d.Enter(ctx)
		require.ErrorIs(t, err, errShut)
		done()
	})
}

func TestWorkEndsWithTheContextOfItsCaller(t *testing.T) {
	d := closing.NewDoor(errShut, errCut)
	ctx, cancel := context.WithCancelCause(t.Context())
	mine := errors.New("mine")
	work, done, err := d.Enter(ctx)
	require.NoError(t, err)
	require.NoError(t, work.Err())
	cancel(mine)
	require.ErrorIs(t, context.Cause(work), mine)
	done()
	d.Close()
}

func TestWhatWorkStartsIsWaitedForAlsoWhenThereIsNoMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		_, done, err := d.Enter(t.Context())
		require.NoError(t, err)
		require.False(t, d.Shut())
		go d.Close()
		<-d.Ending().Done()
		require.True(t, d.Shut())
		d.Go(func() { time.Sleep(time.Minute) })
		done()
		began := time.Now()
		<-d.Idle()
		require.Equal(t, time.Minute, time.Since(began))
	})
}
