package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The example checks itself: each update ends as it should, the right release
// serves afterwards, and no request is lost but where a process dies.
func TestEveryReleaseEndsAsItShould(t *testing.T) {
	require.NoError(t, run(t.Context(), t.TempDir()))
}
