package archive_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
)

func TestTwoProcessesAtOnceUnpackItOnce(t *testing.T) {
	data := crowd(t)
	var asked atomic.Int64
	offer := fetchtest.Offer(data, `"v1"`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		offer.ServeHTTP(w, r)
	}))
	defer server.Close()
	dir := t.TempDir()
	var both []*exec.Cmd
	for range 2 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), getInto+"="+dir, getFrom+"="+server.URL)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		both = append(both, cmd)
	}
	for _, cmd := range both {
		require.NoError(t, cmd.Wait())
	}
	require.EqualValues(t, 1, asked.Load(), "the other one finds it")
	whole := fmt.Sprintf("%x", archiveOf(data).Digest)
	require.Equal(t, []string{whole}, names(t, dir))
	require.Len(t, names(t, filepath.Join(dir, whole, "d")), 600)
}
