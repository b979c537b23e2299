package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/pause"
)

func TestAPauseLastsAsLongAsItShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.NoError(t, pause.For(t.Context(), time.Hour))
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestAPauseEndsWithItsContextAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, pause.For(ctx, time.Hour), why)
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, pause.For(ctx, 0), why, "it has ended before")
		require.Equal(t, time.Minute, time.Since(start))
	})
}
