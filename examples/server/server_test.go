package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
)

// stateVariable makes the test binary be the server, so that it can be killed.
const stateVariable = "UPKEEP_TEST_SERVER_STATE"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" || len(os.Args) > 1 && os.Args[1] == "greet" { // as a replica
		main()
		os.Exit(0)
	}
	state := os.Getenv(stateVariable)
	if state == "" {
		os.Exit(m.Run())
	}
	err := serve(context.Background(), options{state: state, addr: "127.0.0.1:0", pace: 2 * time.Second, still: true, deviceOptions: asleep}, io.Discard, io.Discard)
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// asleep is the device in tests that are not about it.
var asleep = deviceOptions{asleep: true}

// How long a test waits for what another goroutine or process does: long enough
// to tell a hang from a busy machine, and less than the lock of a dead process
// lasts, which is 3 minutes.
const (
	waitAtMost = 2 * time.Minute
	pollEvery  = 10 * time.Millisecond
)

// client talks to a server as its README says.
type client struct {
	t    *testing.T
	keys credentials
}

// start runs a server without a service until stop, and waits for its first
// release.
func start(t *testing.T, o options) (c client, out *bytes.Buffer, stop func()) {
	t.Helper()
	o.still = true
	return startAll(t, o)
}

// startAll is start with a service, which has to be ended too.
func startAll(t *testing.T, o options) (c client, out *bytes.Buffer, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out = &bytes.Buffer{}
	ended := make(chan error, 1)
	o.addr, o.deviceOptions = "127.0.0.1:0", asleep
	go func() { ended <- serve(ctx, o, out, io.Discard) }()
	stop = func() {
		cancel()
		require.NoError(t, <-ended)
	}
	c = client{t: t}
	c.await(o.state, "/site/")
	c.idle()
	return c, out, stop
}

// await waits for the server's credentials and for a good answer at path.
func (c *client) await(state, path string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		text, err := os.ReadFile(filepath.Join(state, "credentials.json"))
		if err != nil || json.Unmarshal(text, &c.keys) != nil {
			return false
		}
		resp, err := http.Get("http://" + c.keys.Addr + path)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, waitAtMost, pollEvery)
}

func (c client) do(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(c.t, err)
	req, err := http.NewRequest(method, "http://"+c.keys.Addr+path, bytes.NewReader(text))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.keys.APIToken)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	var reply map[string]any
	require.NoError(c.t, json.NewDecoder(resp.Body).Decode(&reply))
	return resp.StatusCode, reply
}

func (c client) update(version string) map[string]any {
	c.t.Helper()
	_, reply := c.do(http.MethodPost, "/api/v1/update",
		map[string]string{"api_token": c.keys.APIToken, "package": siteName, "version": version})
	return reply
}

func (c client) progress() any {
	c.t.Helper()
	_, reply := c.do(http.MethodPost, "/api/v1/update/progress", map[string]string{"api_token": c.keys.APIToken, "itemId": "core"})
	return reply["progress"]
}

func TestTheDescriptionHasAllThatIsServed(t *testing.T) {
	c, _, stop := start(t, options{state: t.TempDir()})
	defer stop()
	_, described := c.do(http.MethodGet, "/upkeep/v1/openapi.json", nil)
	paths := described["paths"].(map[string]any)
	for _, path := range []string{
		"/api/v1/update", "/lv/prod", "/api/update/status", "/upkeep/v1/updates/runs", "/upkeep/v1/lv/tables", "/upkeep/v1/firmware/status",
		"/api/sync/performSync", "/upkeep/v1/sync/runs",
	} {
		require.Contains(t, paths, path)
	}
	status, shown := c.do(http.MethodGet, "/upkeep/v1/firmware/status", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "1.0.0", shown["version"])
	status, _ = c.do(http.MethodGet, "/upkeep/v1/nothing", nil)
	require.Equal(t, http.StatusNotFound, status)
}

// idle waits for the end of the update that is under way.
func (c client) idle() {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.progress() == float64(0) }, waitAtMost, pollEvery)
}

func (c client) page(path string) string {
	c.t.Helper()
	resp, err := http.Get("http://" + c.keys.Addr + path)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return string(text)
}

func TestTheWalkOfTheREADME(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "a state #1 100% \u00e9")
	c, out, stop := start(t, options{state: state})
	require.Contains(t, c.page("/site/"), "release 1.0.0")
	require.NotContains(t, c.page("/site/"), "class=\"author\"")

	require.Equal(t, map[string]any{"status": "success", "message": "Successfully updated", "version": "1.1.0"}, c.update(""))
	require.Contains(t, c.page("/site/"), "release 1.1.0")
	require.Contains(t, c.page("/site/"), "by the update")
	require.EqualValues(t, 0, c.progress())

	require.Equal(t, "fail", c.update("1.2.0-rc.1")["status"])
	require.Contains(t, c.page("/site/"), "release 1.1.0", "the broken release is taken back")
	require.Contains(t, c.page("/site/"), "by the update", "and its migration too")
	require.Contains(t, c.page("/site/about.html"), "3 articles")

	require.Equal(t, map[string]any{"status": "success", "message": "Successfully updated", "version": "1.1.0"}, c.update("latest"))

	_, runs := c.do(http.MethodGet, "/upkeep/v1/updates/runs?package="+siteName, nil)
	newest := runs["runs"].([]any)
	require.Equal(t, "rolled_back", newest[0].(map[string]any)["state"])
	good := newest[1].(map[string]any)["id"].(string)
	status, run := c.do(http.MethodPost, "/upkeep/v1/updates/runs/"+good+"/rollback", map[string]string{"reason": "once more"})
	require.Equal(t, http.StatusAccepted, status)
	require.Eventually(t, func() bool {
		_, run = c.do(http.MethodGet, "/upkeep/v1/updates/runs/"+run["id"].(string), nil)
		return run["state"] == "succeeded"
	}, waitAtMost, pollEvery)
	require.Contains(t, c.page("/site/"), "release 1.0.0")
	require.NotContains(t, c.page("/site/"), "by the update", "the page is not a cached one")

	stop()
	require.Contains(t, out.String(), c.keys.APIToken)
	require.Contains(t, out.String(), c.keys.AuthKey)
	info, err := os.Stat(filepath.Join(state, "credentials.json"))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	keys := c.keys
	c, out, stop = start(t, options{state: state})
	keys.Addr = c.keys.Addr
	require.Equal(t, keys, c.keys)
	require.Contains(t, c.page("/site/"), "release 1.0.0")
	stop()
	require.NotContains(t, out.String(), keys.APIToken, "secrets are shown once")
	require.NotContains(t, out.String(), keys.AuthKey)
}

func TestTheSiteIsClosedWhileItIsUpdated(t *testing.T) {
	needstest.Pace(t, 500*time.Millisecond, func(pace time.Duration) bool { return seenClosed(t, pace) })
}

// seenClosed updates a site, which rests half-way, and reports whether all was
// seen meanwhile that says so.
func seenClosed(t *testing.T, pace time.Duration) bool {
	c, _, stop := start(t, options{state: t.TempDir(), pace: pace})
	defer stop()
	ended := make(chan map[string]any, 1)
	go func() { ended <- c.update("") }()
	var progress, page, refused bool
	for {
		select {
		case reply := <-ended:
			require.Equal(t, "success", reply["status"])
			require.EqualValues(t, 0, c.progress())
			require.Contains(t, c.page("/site/"), "release 1.1.0")
			return progress && page && refused
		case <-time.After(time.Millisecond):
		}
		progress = progress || c.progress() == float64(1)
		page = page || strings.Contains(c.page("/site/"), "being updated")
		refused = refused || progress && c.update("")["message"] == "Core update in progress"
	}
}

func TestAServerThatIsStoppedWhileItInstallsTheSiteSaysNothingOfAFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	state, log, ended := t.TempDir(), &bytes.Buffer{}, make(chan error, 1)
	go func() {
		ended <- serve(ctx, options{state: state, addr: "127.0.0.1:0", pace: 2 * time.Second, still: true, deviceOptions: asleep}, io.Discard, log)
	}()
	c := client{t: t}
	c.await(state, "/site/healthz")
	require.Eventually(t, func() bool { return c.progress() == 1.0 }, waitAtMost, pollEvery)
	cancel()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), "update: left for the next process")
	require.NotContains(t, log.String(), "level=ERROR")
}

func TestAServerThatIsKilledInTheMiddleOfAnUpdateEndsItWhenItIsBack(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	run := func() (client, *exec.Cmd) {
		server := exec.CommandContext(t.Context(), os.Args[0])
		server.Env = append(os.Environ(), stateVariable+"="+state)
		require.NoError(t, server.Start())
		c := client{t: t}
		c.await(state, "/site/healthz")
		return c, server
	}
	c, server := run()
	c.idle()
	require.Contains(t, c.page("/site/"), "release 1.0.0")
	c.edit("PUT", "sale", banner(spring))
	c.lv("POST", "publish/sale", "")
	status, begun := c.do(http.MethodPost, "/upkeep/v1/updates/runs", map[string]string{"package": siteName})
	require.Equal(t, http.StatusAccepted, status)
	require.Eventually(t, func() bool { return strings.Contains(c.page("/site/healthz"), "1.1.0") }, waitAtMost, pollEvery)
	require.NoError(t, server.Process.Kill())
	_ = server.Wait()

	c, server = run()
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	require.Eventually(t, func() bool {
		_, run := c.do(http.MethodGet, "/upkeep/v1/updates/runs/"+begun["id"].(string), nil)
		return run["state"] == "succeeded"
	}, waitAtMost, pollEvery, "before the lock of the dead server would end by itself")
	require.EqualValues(t, 0, c.progress())
	require.Contains(t, c.page("/site/"), "release 1.1.0")
	c.requireBanner(spring, true, true)
}
