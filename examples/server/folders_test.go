package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// TestTheWalkOfTheFolderRunsWordForWord runs what the README says of the diary, a
// kill included, in one shell.
func TestTheWalkOfTheFolderRunsWordForWord(t *testing.T) {
	if os.Getenv("UPKEEP_FULL") == "" {
		t.Skip("UPKEEP_FULL=1 runs it: it waits so that people can watch, for half a minute")
	}
	t.Parallel()
	out, wrong := walkThrough(t, "## Sync a folder", "## Clean up")
	require.NotContains(t, wrong, "server: ", "no command is refused")
	require.Equal(t, 1, strings.Count(wrong, "syncdir: "), "but one with a wrong passphrase\n%s", wrong)
	require.Contains(t, wrong, "sync: wrong passphrase")
	did := func(up, down, deleted, conflicts int) string {
		return fmt.Sprintf("\n\"state\":\"succeeded\" \"uploaded\":%d \"downloaded\":%d \"deleted\":%d \"conflicts\":%d\n", up, down, deleted, conflicts)
	}
	requireInOrder(t, out,
		`{"code":0,`, `"cmd":"syncBegin"`, `"cmd":"syncEnd"`, did(0, 30, 0, 0)+"+new\nconfig+\nheads\nindex\nkeys\npacks\nprobe\nboth are the same\n",
		`"conflicts":1`, "(conflict ", "Day 1: sun, at ", "diary/01.md:Day 1: rain, at ", `"copy":"diary/01 (conflict `, did(0, 1, 0, 0)+"Day 1: sun, at ",
		did(1, 0, 0, 0), did(0, 1, 0, 0)[1:]+"Day 2: I met Ben, at ",
		`"state":"failed"`, "it would delete 29 of 30 files in the remote", `"guard":"it would delete 29 of 30`, `"next":"2"`, did(0, 0, 29, 0),
		"it would delete 29 of 30 files here", did(0, 0, 29, 0)+"30.md\n",
		`"request_reason":"that month is over"`, "\nDay 7: nothing new.\n", did(29, 0, 0, 0), did(0, 29, 0, 0)[1:]+"30\n",
		"event: recovered\n", "event: ended\n", `"state":"succeeded"`, did(0, 1, 0, 0), "0 up, 31 down, 0 deleted, 0 conflicts\n",
		did(0, 0, 1, 0), `{"forgotten":`, `"bytes":60`, `{"commit":"`, `"bytes":60`, did(0, 0, 1, 0), "0 up, 0 down, 1 deleted, 0 conflicts\nall is well\n",
	)
	digests := regexp.MustCompile(`(?m)^\d+ \d+\n\d+ \d+\n\d+ \d+$`).FindAllString(out, -1)
	require.Len(t, digests, 2, out)
	for _, three := range digests {
		each := strings.Split(three, "\n")
		require.Equal(t, []string{each[0], each[0], each[0]}, each)
	}
	require.Regexp(t, `(?m)^[67]\d{7}$`, out, "of the photos one pack at most is sent twice")
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
