package fetch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

var errGone = errors.New("gone")

// contextFor is a context that ends with errGone.
func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(t.Context(), d, errGone)
}

func TestPausesGrowAndAttemptsEnd(t *testing.T) {
	r := fetch.Retry{First: time.Second, Longest: 5 * time.Second, Attempts: 6}
	trouble := &fetch.Passing{Err: errGone, After: time.Hour}
	for _, most := range []time.Duration{1, 2, 4, 5, 5} {
		pause, err := r.After(trouble, 0)
		require.NoError(t, err)
		require.GreaterOrEqual(t, pause, time.Hour)
		require.Less(t, pause, time.Hour+most*time.Second)
	}
	_, err := r.After(trouble, 0)
	require.ErrorIs(t, err, errGone)
	require.ErrorContains(t, err, "given up after 6 attempts")
}

func TestWhatDoesNotPassIsNotTriedAgain(t *testing.T) {
	r := fetch.Retry{First: time.Second, Longest: time.Second}
	_, err := r.After(errGone, 0)
	require.Equal(t, errGone, err)
}

func TestAnAttemptThatBringsEnoughIsNoFailure(t *testing.T) {
	r := fetch.Retry{First: time.Second, Longest: time.Second, Attempts: 2, Enough: 10}
	trouble := &fetch.Passing{Err: errGone}
	for _, reached := range []int64{10, 20, 30, 45} {
		_, err := r.After(trouble, reached)
		require.NoError(t, err)
	}
	_, err := r.After(trouble, 10) // it began anew, and has not come as far as before
	require.ErrorContains(t, err, "given up after 2 attempts")
}

func TestAServerMayNotSendUsAwayForEver(t *testing.T) {
	trouble := &fetch.Passing{Err: errGone, After: 24 * time.Hour}
	r := fetch.Retry{First: time.Second, Longest: time.Second, Patience: time.Hour}
	_, err := r.After(trouble, 0)
	require.ErrorContains(t, err, "asks to wait 24h0m")
	r = fetch.Retry{First: time.Second, Longest: time.Second}
	for range 1000 { // nor are attempts counted that have no end
		pause, err := r.After(trouble, 0)
		require.NoError(t, err)
		require.Greater(t, pause, 23*time.Hour)
	}
}
