package main

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// endServices ends what servers of the folder have left running, and sees to it
// that nothing is left.
func endServices(t *testing.T, state string) {
	t.Helper()
	require.NoError(t, stopServices(t.Context(), state, io.Discard, slog.New(slog.DiscardHandler)))
	require.Empty(t, running(t, state))
}

// ready returns the addresses of the replicas, once there are two.
func (c client) ready() (endpoints []string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		_, status := c.do(http.MethodGet, "/upkeep/v1/rollouts/services/greeter?env=demo", nil)
		replicas, _ := status["replicas"].([]any)
		endpoints = nil
		for _, r := range replicas {
			if r := r.(map[string]any); r["state"] == "ready" {
				endpoints = append(endpoints, r["endpoint"].(string))
			}
		}
		return len(endpoints) == 2
	}, waitAtMost, pollEvery)
	return endpoints
}

// greets asks a replica at its own address, and returns which process answers.
func greets(t *testing.T, address string) (pid int) {
	t.Helper()
	reply, err := http.Get(address)
	require.NoError(t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`^greeter-001 greeter:1 hello\nprocess (\d+)\n$`).FindSubmatch(body)
	require.NotNil(t, found, "%s", body)
	pid, err = strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return pid
}

func TestTheReplicasOutliveTheServerUntilTheyAreStopped(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, _, stop := startAll(t, options{state: state})
	defer func() { endServices(t, state) }()
	two := c.ready()
	require.Len(t, running(t, state), 2)
	one, other := greets(t, two[0]), greets(t, two[1])
	require.ErrorContains(t, stopServices(t.Context(), state, io.Discard, slog.New(slog.DiscardHandler)), "another server")
	stop()
	require.Equal(t, one, greets(t, two[0]))
	require.NoError(t, syscall.Kill(other, syscall.SIGKILL))

	c, _, stop = startAll(t, options{state: state})
	defer stop() // before the services end
	again := c.ready()
	require.Contains(t, again, two[0])
	require.Equal(t, one, greets(t, two[0]), "the same process")
	require.NotContains(t, []int{one, other}, greets(t, again[1]), "a new one")
}

func TestAnImageIsThisProgram(t *testing.T) {
	own, err := os.Executable()
	require.NoError(t, err)
	id := rollout.RevisionID{Service: greeterID, Version: "v1", Run: "run"}
	command, err := build(t.Context(), id, rollout.Spec{Image: &rollout.Image{URL: "greeter:12"}}, "")
	require.NoError(t, err)
	require.Equal(t, []string{own, "greet", "greeter:12", "v1"}, command)
	for _, s := range []rollout.Spec{
		{}, {Package: &rollout.Package{Name: "greeter"}}, {Image: &rollout.Image{URL: "nginx"}}, {Image: &rollout.Image{URL: "greeter:1 -x"}},
	} {
		_, err := build(t.Context(), id, s, "")
		require.ErrorContains(t, err, "greeter:1, greeter:2")
	}
}
