//go:build linux

package process_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestAProgramThatIsStillWrittenIsWaitedForNoLongerThanTheReplicaIsWanted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	require.NoError(t, err)
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun := time.Now()
	require.ErrorIs(t, process.Start(ctx, path), syscall.ETXTBSY)
	require.Less(t, time.Since(begun), time.Second)
	begun = time.Now()
	require.ErrorIs(t, process.Start(t.Context(), path), syscall.ETXTBSY)
	require.Greater(t, time.Since(begun), time.Second)
}
