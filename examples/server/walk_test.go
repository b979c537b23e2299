package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
)

// mainVariable makes the test binary be the program, with its arguments.
const mainVariable = "UPKEEP_TEST_SERVER_MAIN"

// walk returns the commands of the README beside this file, block by block,
// up to the heading, "" for all of them.
func walk(t *testing.T, until string) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	before, _, found := strings.Cut(string(text), "\n"+until+"\n")
	if until == "" {
		before, found = string(text), true
	}
	require.True(t, found)
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(before, -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// TestTheWalkRunsWordForWord runs all of it that needs neither a module proxy
// nor time, in one shell, with the address and the folder of this test.
func TestTheWalkRunsWordForWord(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	needstest.Tool(t, "sh", err == nil)
	curl, err := exec.LookPath("curl")
	needstest.Tool(t, "curl", err == nil && curl != "")
	state, dir := filepath.Join(t.TempDir(), "a state"), t.TempDir()
	c, _, stop := start(t, options{state: state})
	defer stop()
	program := fmt.Sprintf("#!/bin/sh\nexec env %s=1 '%s' -state '%s' \"$@\"\n", mainVariable, os.Args[0], state)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server"), []byte(program), 0o755))

	var script strings.Builder
	for i, block := range walk(t, "## Kill it") {
		if strings.Contains(block, "benchstat") {
			continue
		}
		block = regexp.MustCompile("(?m)^go build .*$").ReplaceAllString(block, "")
		block = strings.NewReplacer("/tmp/upkeep", dir, "127.0.0.1:8080", c.keys.Addr).Replace(block)
		fmt.Fprintf(&script, "%s\necho 'block %d'\n", block, i)
	}
	var out, wrong bytes.Buffer
	cmd := exec.CommandContext(t.Context(), sh, "-c", script.String())
	cmd.Stdout, cmd.Stderr = &out, &wrong
	require.NoError(t, cmd.Run(), "%s%s", &out, &wrong)
	said := regexp.MustCompile(`(?m)^server: .*\n`).FindAllString(wrong.String(), -1)
	require.Equal(t, []string{"server: the server answered \"fail\"\n", "server: the server answered 404 Not Found\n"}, said,
		"the broken release, and the refusal at the end")
	require.NotContains(t, wrong.String(), "not found\n")

	shown := out.String()
	for _, line := range []string{
		`{"status":"success","message":"Successfully updated","version":"1.1.0"}`,
		`<header><h1>Demo site</h1><p>release 1.1.0</p></header>`,
		`{"status":"fail","message":"Update failed (run `,
		`step "health": step: not healthy`,
		"  {\"id\":\"sale\",\"status\":2},\n  {\"id\":\"about\",\"status\":1}\n]}\n",
		"<aside>" + winter + "</aside>\n<aside>" + spring + "</aside>\n<aside>" + spring + "</aside>\n",
		"\n1\n0\n",
		`{"code":404,"msg":"lv: not found: version 1000000","data":null}`,
	} {
		require.Contains(t, shown, line)
	}
	require.Empty(t, c.lv("GET", "strategy", ""), "nothing is left behind")
	require.Empty(t, c.lv("GET", "record", ""))
	require.Empty(t, c.lv("GET", "status/2", ""))
	require.Equal(t, c.lv("GET", "prod", ""), c.lv("GET", "gray/quiet", ""))
	require.Equal(t, c.lv("GET", "prod", ""), c.lv("GET", "gray/spring", ""))
	require.Contains(t, c.page("/site/"), winter)
}

func TestAListHasAnItemInEachLine(t *testing.T) {
	for text, want := range map[string]string{
		`{"data": []}`:                    `{"data":[]}`,
		`{"a": "[not", "b": 1}`:           `{"a":"[not","b":1}`,
		`{"data": [{"x": [1, 2]}, "]"] }`: "{\"data\":[\n  {\"x\":[1,2]},\n  \"]\"\n]}",
		`{"objects": "[]", "b": [1]}`:     `{"objects":"[]","b":[1]}`,
	} {
		require.Equal(t, want+"\n", string(lines([]byte(text))))
	}
	require.Equal(t, "no JSON", string(lines([]byte("no JSON"))))
}

func TestAMemberIsPicked(t *testing.T) {
	const reply = `{"data": [{"id": "one", "inner": {"state": "inner"}}, {"id": "two", "state": "outer", "n": 1.50}]}`
	for name, want := range map[string]string{"id": "one", "state": "inner", "n": "1.50", "inner": `{"state": "inner"}`} {
		value, ok := member([]byte(reply), name)
		require.True(t, ok)
		require.Equal(t, want, value)
	}
	_, ok := member([]byte(reply), "none")
	require.False(t, ok)
}

func TestACommandSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	for _, args := range [][]string{
		{"dance"}, {"show"}, {"show", "state", "more"}, {"call"}, {"call", "GET"}, {"call", "GET", "/", "", "more"}, {"call", "-no", "GET", "/"},
	} {
		require.Error(t, command(t.Context(), state, args, new(bytes.Buffer)), args)
	}
	c, _, stop := start(t, options{state: state})
	defer stop()
	var out bytes.Buffer
	require.NoError(t, command(t.Context(), state, []string{"show", "authkey"}, &out))
	require.Equal(t, c.keys.AuthKey+"\n", out.String())
	require.ErrorContains(t, command(t.Context(), state, []string{"show", "nothing"}, &out), "authkey")
	require.ErrorContains(t, command(t.Context(), state, []string{"call", "-pick", "nothing", "GET", "/lv/status/0"}, &out), "nothing")
	require.ErrorContains(t, command(t.Context(), state, []string{"call", "POST", "/api/v1/update", "no JSON"}, &out), "body")
}

func TestACommandTellsHowItIsUsed(t *testing.T) {
	for _, args := range [][]string{{"call", "-h"}, {"call", "--help"}, {"show", "-h"}} {
		var out bytes.Buffer
		require.NoError(t, command(t.Context(), t.TempDir(), args, &out))
		require.Contains(t, out.String(), "METHOD PATH [JSON]")
	}
}

func TestACallToAServerThatIsAwayShowsNoSecret(t *testing.T) {
	state := t.TempDir()
	keys := credentials{Addr: "127.0.0.1:1", APIToken: "secret-token", AuthID: "secret-id", AuthKey: "secret-key"}
	require.NoError(t, os.WriteFile(filepath.Join(state, "credentials.json"), keys.text(), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	for _, path := range []string{"/lv/prod", "/upkeep/v1/lv/rows", "/api/v1/update/progress"} {
		_, err := keys.send(ctx, "POST", path, "{}")
		require.ErrorContains(t, err, "127.0.0.1:1")
		require.NotContains(t, err.Error(), "secret")
	}
	stop()
	err := command(ctx, state, []string{"call", "GET", "/lv/prod"}, new(bytes.Buffer))
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.NotContains(t, err.Error(), "secret")
}

func TestACallThatIsAnsweredWithAFailureEndsWithAnError(t *testing.T) {
	reply := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, reply) }))
	defer server.Close()
	state := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(state, "credentials.json"), credentials{Addr: server.Listener.Addr().String()}.text(), 0o600))
	for _, pick := range []string{"", "message"} {
		var out bytes.Buffer
		ask := []string{"call", "-pick", pick, "POST", "/api/v1/update", "{}"}
		reply = `{"status":"fail","message":"Core update in progress"}`
		require.ErrorContains(t, command(t.Context(), state, ask, &out), "fail")
		require.Equal(t, reply+"\n", out.String())
		reply = `{"status":"success","message":"fail"}`
		require.NoError(t, command(t.Context(), state, ask, &out))
	}
}

func TestACallPrintsAStreamToItsEnd(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, _, stop := start(t, options{state: state})
	defer stop()
	_, runs := c.do("GET", "/upkeep/v1/updates/runs", nil)
	first := runs["runs"].([]any)[0].(map[string]any)["id"].(string)
	var out bytes.Buffer
	require.NoError(t, command(t.Context(), state, []string{"call", "GET", "/upkeep/v1/updates/events?run=" + first}, &out))
	require.Contains(t, out.String(), "event: started\n")
	require.Contains(t, out.String(), "event: ended\n")
}

func TestACommandWaitsForAServerNoLongerThanItMay(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	state := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(state, "credentials.json"), []byte(`{"addr": "127.0.0.1:1"}`), 0o600))
	stop()
	for _, state := range []string{state, t.TempDir()} {
		began := time.Now()
		require.Error(t, command(ctx, state, []string{"call", "GET", "/lv/prod"}, new(bytes.Buffer)))
		require.Less(t, time.Since(began), startTime)
	}
}
