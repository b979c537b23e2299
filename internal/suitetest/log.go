package suitetest

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// Log returns all events so far, which must be the n that a case has written.
func Log[E any](
	t testing.TB, n int, watch func(ctx context.Context, after int64) iter.Seq2[E, error], seq func(E) int64, compacted error,
) []E {
	t.Helper()
	events := Collect(t, n, func(ctx context.Context) iter.Seq2[E, error] { return watch(ctx, 0) })
	var last int64
	if n > 0 {
		last = seq(events[n-1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), Soon)
	defer cancel()
	for _, err := range watch(ctx, last+1) { // it would wait if this event were there
		require.ErrorIs(t, err, compacted, "there are events that were not written")
	}
	return events
}
