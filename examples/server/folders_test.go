package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// synced syncs the device whose routes begin so, and returns the run.
func (c client) synced(device string) (run map[string]any) {
	c.t.Helper()
	status, run := c.do(http.MethodPost, device+"/upkeep/v1/sync/runs", map[string]any{})
	require.Equal(c.t, http.StatusAccepted, status)
	require.Eventually(c.t, func() bool {
		_, run = c.do(http.MethodGet, device+"/upkeep/v1/sync/runs/"+run["id"].(string), nil)
		return run["state"] != "running"
	}, waitAtMost, pollEvery)
	return run
}

func TestTheDiaryIsTheSameOnBothDevicesAndNobodyReadsItInTheCloud(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, out, stop := start(t, options{state: state})
	var told bytes.Buffer
	require.NoError(t, command(t.Context(), state, []string{"call", "-frames", "POST", "/api/sync/performSync", `{"app": "walk"}`}, &told))
	require.Regexp(t, `^\{"code":0,.*\n\{"cmd":"syncBegin",(.*\n)+\{"cmd":"syncEnd",.*\n$`, told.String())
	run := c.synced("/phone")
	require.Equal(t, "succeeded", run["state"])
	require.EqualValues(t, days, run["downloaded"])
	const day = "diary/07.md"
	text, err := os.ReadFile(filepath.Join(state, "phone", day))
	require.NoError(t, err)
	require.Equal(t, "Day 7: nothing new.\n", string(text))

	cloud := os.DirFS(filepath.Join(state, "cloud"))
	objects := 0
	require.NoError(t, fs.WalkDir(cloud, ".", func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		require.NotContains(t, path, "diary")
		if e.Type().IsRegular() {
			objects++
			text, err := fs.ReadFile(cloud, path)
			require.NoError(t, err)
			require.NotContains(t, string(text), "diary")
			require.NotContains(t, string(text), "Day ")
		}
		return nil
	}))
	require.Equal(t, 5, objects, "config, key, head, index and pack")

	require.NoError(t, os.WriteFile(filepath.Join(state, "phone", day), []byte("I met Ben."), 0o600))
	stop()
	require.Contains(t, out.String(), c.keys.Passphrase)
	c, _, stop = start(t, options{state: state})
	defer stop()
	require.EqualValues(t, 1, c.synced("/phone")["uploaded"], "the next server goes on with what there is")
	require.EqualValues(t, 1, c.synced("")["downloaded"])
	text, err = os.ReadFile(filepath.Join(state, "laptop", day))
	require.NoError(t, err)
	require.Equal(t, "I met Ben.", string(text))
}

func TestFramesAreThoseOfASyncThatHasBegun(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	_, _, stop := start(t, options{state: state})
	defer stop()
	ask := func(args ...string) error {
		return command(t.Context(), state, append([]string{"call", "-frames"}, args...), new(bytes.Buffer))
	}
	require.ErrorContains(t, ask("POST"), "a path")
	require.ErrorContains(t, ask("POST", "/api/sync/performSync", `{}`), "code -1")
	require.ErrorContains(t, ask("GET", "/upkeep/v1/sync/status"), "/api/sync/performSync")
	require.NoError(t, os.RemoveAll(filepath.Join(state, "cloud")))
	require.ErrorContains(t, ask("POST", "/api/sync/performSync", `{"app": "walk"}`), "failed")
}
