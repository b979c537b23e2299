//go:build unix

package step_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/step"
)

func TestLaunchReturnsHowItsProgramEnds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app")
	for text, want := range map[string]int{"exit 7": 7, "exit 0": 0, "kill -9 $$": -1, `[ "$1" = x ]`: 0} {
		writeProgram(t, path, "#!/bin/sh\n"+text+"\n")
		status, err := step.Launch(t.Context(), path, "x")
		require.NoError(t, err)
		require.Equal(t, want, status, text)
	}
	_, err := step.Launch(t.Context(), filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = step.Launch(t.Context(), "")
	require.ErrorContains(t, err, "no program to launch")
}

func TestLaunchAsksItsProgramToEnd(t *testing.T) {
	dir := t.TempDir()
	path, ready := filepath.Join(dir, "app"), filepath.Join(dir, "ready")
	writeProgram(t, path, "#!/bin/sh\ntrap 'exit 5' TERM\n: > \"$1\"\nwhile :; do sleep 0.01; done\n")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	status := make(chan int)
	go func() {
		got, err := step.Launch(ctx, path, ready)
		if err != nil {
			t.Error(err)
		}
		status <- got
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(ready); return err == nil }, hangs, 5*time.Millisecond)
	stop()
	require.Equal(t, 5, <-status)
}
