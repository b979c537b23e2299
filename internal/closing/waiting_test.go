package closing_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/closing"
)

func TestAPauseEndsWithItsTimeItsContextOrTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		require.Equal(t, time.Minute, within(func() { require.NoError(t, d.Pause(t.Context(), time.Minute)) }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, time.Second, within(func() { require.ErrorIs(t, d.Pause(ctx, time.Minute), context.DeadlineExceeded) }))
		time.AfterFunc(time.Second, d.Close)
		require.Equal(t, time.Second, within(func() { require.Equal(t, errShut, d.Pause(t.Context(), time.Minute)) }))
	})
}

func TestWhatIsRepeatedTellsOnceWhyItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := closing.NewDoor(errShut, errCut)
		one, other := errors.New("one"), errors.New("other")
		answers := []error{one, one, other, other, nil, other}
		var told []error
		calls := 0
		time.AfterFunc(time.Hour-time.Second, d.Close)
		require.Equal(t, time.Hour-time.Second, within(func() {
			err := d.Repeat(t.Context(), 10*time.Minute, func(context.Context) error {
				calls++
				return answers[calls-1]
			}, func(err error) { told = append(told, err) })
			require.Equal(t, errShut, err)
		}))
		require.Equal(t, 6, calls)
		require.Equal(t, []error{one, other, other}, told)
		ctx, cancel := context.WithCancelCause(t.Context())
		err := d.Repeat(ctx, time.Hour, func(context.Context) error { cancel(one); return other }, func(error) { t.Error("told") })
		require.Equal(t, one, err)
	})
}

func TestWhatIsInsistedOnGoesOnUntilItHelpsNoMore(t *testing.T) {
	one := errors.New("one")
	for _, c := range []struct {
		name       string
		fails      int
		shut, took time.Duration
	}{
		{"at once", 0, time.Hour, 0},
		{"later", 3, time.Hour, 700 * time.Millisecond},
		{"never", 1000, time.Hour, time.Minute},
		{"shut", 1000, time.Second, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := closing.NewDoor(errShut, errCut)
				time.AfterFunc(c.shut, d.Close)
				began, calls, last := time.Now(), 0, time.Duration(0)
				err := d.Insist(time.Minute, func() error {
					last = time.Since(began)
					if calls++; calls > c.fails {
						return nil
					}
					return one
				})
				require.Equal(t, c.fails > 0, err != nil)
				<-d.Idle()
				require.Equal(t, c.took, last)
			})
		})
	}
}
