package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// running returns the processes that a server of the folder has left.
func running(t *testing.T, state string) (all []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ") // none on other systems than Linux
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		for _, e := range bytes.Split(text, []byte{0}) {
			if e := string(e); strings.HasPrefix(e, "UPKEEP_INSTANCE=") && strings.Contains(e, "@"+state+string(filepath.Separator)) {
				all = append(all, f+" "+e)
			}
		}
	}
	return all
}

func TestAReplicaFailsAtEqualDistances(t *testing.T) {
	var out bytes.Buffer
	g := &greeting{line: "v1 greeter:3 hello\n", fails: 5, log: log.New(&out, "", 0)}
	for n := 1; n <= 100; n++ {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, n%20 == 0, w.Code == http.StatusInternalServerError, n)
	}
	require.Contains(t, out.String(), "request 20 fails\n")
}

func TestAReplicaCountsWhatIsPosted(t *testing.T) {
	g := &greeting{line: "v1 greeter:1 hello\n", posts: filepath.Join(t.TempDir(), "posts"), log: log.New(io.Discard, "", 0)}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPost} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		require.Equal(t, http.StatusOK, w.Code)
	}
	text, err := os.ReadFile(g.posts)
	require.NoError(t, err)
	require.Equal(t, "v1 greeter:1 hello\nv1 greeter:1 hello\n", string(text))
	g.posts = filepath.Dir(g.posts) // which is no file
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
}

func TestAReplicaServesAtItsPortUntilItIsAskedToEnd(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	_, port, _ := net.SplitHostPort(addr)
	t.Setenv("PORT", port)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- greet(ctx, []string{"greeter:7", "v7"}, &out) }()
	c := client{t: t, keys: credentials{Addr: addr}}
	require.Eventually(t, func() bool {
		reply, err := http.Get("http://" + addr)
		if err == nil {
			reply.Body.Close()
		}
		return err == nil
	}, waitAtMost, pollEvery)
	require.Contains(t, c.page("/"), "v7 greeter:7 hello\nprocess ")
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, out.String(), "greeter:7 begins, as process ")
	require.Contains(t, out.String(), "greeter:7 ends, after 2 requests\n")
}

func TestAReplicaTicks(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&greeting{line: "v1 greeter:1 hello\n", log: log.New(io.Discard, "", 0)})
	defer server.Close()
	ask, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	ask.Header.Set("Connection", "Upgrade")
	ask.Header.Set("Upgrade", ticks)
	reply, err := http.DefaultClient.Do(ask)
	require.NoError(t, err)
	defer reply.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, reply.StatusCode)
	lines := bufio.NewReader(reply.Body)
	for _, want := range []string{"tick 1 of v1 greeter:1 hello\n", "tick 2 of v1 greeter:1 hello\n"} {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	w := httptest.NewRecorder() // which cannot be taken over
	(&greeting{log: log.New(io.Discard, "", 0)}).ServeHTTP(w, ask)
	require.Equal(t, http.StatusInternalServerError, w.Code)
}

func TestAReplicaThatIsNotHealthySaysWhy(t *testing.T) {
	var out bytes.Buffer
	g := &greeting{line: "v1 greeter:0 hello\n", broken: true, log: log.New(&out, "", 0)}
	for range 2 {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "no such database\n", w.Body.String())
	}
	require.Equal(t, "not healthy: no such database\n", out.String(), "once")
}

func TestAReplicaSaysWhatIsWrong(t *testing.T) {
	require.Error(t, greet(t.Context(), []string{"greeter:1"}, io.Discard))
	for _, wrong := range []string{"-1", "101", "some"} {
		t.Setenv("FAIL", wrong)
		require.ErrorContains(t, greet(t.Context(), []string{"greeter:1", "v1"}, io.Discard), "FAIL")
	}
}

func TestAServerWithoutProcessesHasNoServiceToRoll(t *testing.T) {
	g := &greeter{}
	g.live(t.Context(), true)
	require.NoError(t, g.Close())
}
