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
	require.NoError(t, slot.FirstOf(ctx, fails, none))
	require.Equal(t, 2, called)
	answer = errors.New("not permitted")
	err := slot.FirstOf(ctx, fails, none)
	require.ErrorIs(t, err, answer)
	require.ErrorContains(t, err, "no bus")

	ended, cancel := context.WithCancel(ctx)
	cancel()
	called = 0
	require.ErrorIs(t, slot.FirstOf(ended, works), context.Canceled)
	require.Zero(t, called, "who gave up gets no restart")
}
