package cause_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/cause"
)

var (
	errFailed = errors.New("failed")
	errFull   = errors.New("full")
	errDisk   = fmt.Errorf("%w: disk", errFull)
	names     = cause.Names{{"disk", errDisk}, {"full", errFull}}
)

func TestAnErrorIsTheSameAfterItWasKept(t *testing.T) {
	require.Equal(t, "disk", names.Of(fmt.Errorf("writing: %w", errDisk)))
	require.Equal(t, "full", names.Of(errFull))
	require.Empty(t, names.Of(errFailed))
	err := names.Err(errFailed, "disk", "writing a: disk")
	require.ErrorIs(t, err, errFailed)
	require.ErrorIs(t, err, errFull)
	require.EqualError(t, err, "failed: writing a: disk")
}

func TestWithoutAnOutcomeOrANameTheTextIsLeft(t *testing.T) {
	err := names.Err(nil, "full", "no space")
	require.EqualError(t, err, "no space")
	require.ErrorIs(t, err, errFull)
	err = names.Err(errFailed, "of a newer program", "why")
	require.EqualError(t, err, "failed: why")
	require.ErrorIs(t, err, errFailed)
}
