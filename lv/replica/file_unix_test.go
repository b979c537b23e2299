//go:build unix

package replica_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatOthersPutBesideTheFileIsNotWrittenThrough(t *testing.T) {
	s := serve(t)
	s.fill()
	precious := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(precious, []byte("as it was"), 0o600))
	file := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.Symlink(precious, file+".tmp"))
	r := s.follower(file)
	stop := run(t, r)
	s.requireSame(r)
	stop()
	text, err := os.ReadFile(precious)
	require.NoError(t, err)
	require.Equal(t, "as it was", string(text))
	info, err := os.Lstat(file)
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular())
}

func TestAPipeInThePlaceOfTheFileIsNotWaitedFor(t *testing.T) {
	s := serve(t)
	s.fill()
	file := filepath.Join(t.TempDir(), "state")
	require.NoError(t, syscall.Mkfifo(file, 0o600))
	r := s.follower(file)
	stop := run(t, r)
	s.requireSame(r)
	stop()
	info, err := os.Lstat(file)
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular(), "it is replaced")
}
