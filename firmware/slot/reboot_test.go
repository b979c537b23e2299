package slot_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware/slot"
)

func TestARestartIsAskedForInOneWayAfterTheOther(t *testing.T) {
	called := 0
	var answer error
	defer slot.SetReboot(func() error { called++; return answer })()
	ctx := t.Context()
	none, fails, works := []string{"upkeep-no-such-program"}, []string{"sh", "-c", "echo no bus >&2; exit 1"}, []string{"true"}

	require.NoError(t, slot.FirstOf(ctx, works, fails))
	require.NoError(t, slot.FirstOf(ctx, none, works))
	require.NoError(t, slot.FirstOf(ctx, fails, works))
	require.Zero(t, called)
	require.NoError(t, slot.FirstOf(ctx, none, none))
	require.Equal(t, 1, called)
	for _, refused := range [][][]string{{fails, none}, {none, fails}, {fails, fails}} {
		require.ErrorContains(t, slot.FirstOf(ctx, refused...), "no bus")
	}
	require.Equal(t, 1, called, "what was refused is not forced")
	answer = errors.New("not permitted")
	require.ErrorIs(t, slot.FirstOf(ctx, none, none), answer)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	called = 0
	require.ErrorIs(t, slot.FirstOf(ended, works), context.Canceled)
	require.Zero(t, called, "who gave up gets no restart")
}
