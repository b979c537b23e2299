package archive_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
)

const (
	getInto = "UPKEEP_TEST_ARCHIVE_INTO"
	getFrom = "UPKEEP_TEST_ARCHIVE_FROM"
)

// crowd is an archive that takes a while to unpack.
func crowd(t testing.TB) []byte { return tarred(t, many(600, "d/f%04d")...) }

// TestMain makes this test a program that gets an archive.
func TestMain(m *testing.M) {
	dir := os.Getenv(getInto)
	if dir == "" {
		os.Exit(m.Run())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		panic(err)
	}
	var t testing.T
	a := archiveOf(crowd(&t))
	a.URL = os.Getenv(getFrom)
	_, err = archive.New(root, archive.Config{}).Get(context.Background(), a)
	if err != nil {
		panic(err)
	}
}

// killed is a folder in which a process that got an archive was killed, when
// there was something that matches pattern.
func killed(t *testing.T, url, pattern string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), getInto+"="+dir, getFrom+"="+url)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	for deadline := time.Now().Add(time.Minute); ; {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		if len(found) > 0 {
			break
		}
		require.True(t, time.Now().Before(deadline), "it does nothing")
		time.Sleep(time.Millisecond) // of a real process
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	return dir
}

func TestAKilledGetLeavesWhatTheNextOneOrPruneRemoves(t *testing.T) {
	data := crowd(t)
	a := archiveOf(data)
	whole := fmt.Sprintf("%x", a.Digest)
	server := httptest.NewServer(fetchtest.Offer(data, `"v1"`))
	defer server.Close()
	slow := httptest.NewServer(halfOf(data))
	defer slow.Close()
	for name, tt := range map[string]struct{ url, pattern string }{
		"while it fetches": {slow.URL, "*.tar.*"},
		"while it unpacks": {server.URL, "*/d/f0050"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := killed(t, tt.url, tt.pattern)
			require.NotContains(t, names(t, dir), whole)
			require.Greater(t, len(names(t, dir)), 1)
			s := shelfIn(t, dir, archive.Config{Client: http.DefaultClient})
			a.URL = server.URL
			got, err := s.Get(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, []string{whole}, names(t, dir))
			require.Len(t, names(t, filepath.Join(dir, got, "d")), 600)

			dir = killed(t, tt.url, tt.pattern)
			require.NoError(t, shelfIn(t, dir, archive.Config{}).Prune(func([]byte) bool { return true }))
			for _, left := range names(t, dir) {
				require.Regexp(t, `\.(tar|kept)`, strings.TrimPrefix(left, whole), "what can be gone on with")
			}
			require.NoError(t, shelfIn(t, dir, archive.Config{}).Prune(func([]byte) bool { return false }))
			require.Empty(t, names(t, dir))
		})
	}
}
