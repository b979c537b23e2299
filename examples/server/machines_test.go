package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestMachinesKeepThePromisesOfDeployer(t *testing.T) {
	t.Parallel()
	rollouttest.RunDeployer(t, rollouttest.DeployerHarness{
		Open: func(t testing.TB) rollout.Deployer {
			m := newMachines(memory.Cluster{StartUp: 50 * time.Millisecond, Fail: func(id rollout.RevisionID) error {
				if id.Version == rollouttest.Sick {
					return errors.New("no such program")
				}
				return nil
			}})
			t.Cleanup(m.Close)
			return m
		},
		Spec: func(_ testing.TB, id rollout.RevisionID) rollout.Spec {
			return rollout.Spec{Image: &rollout.Image{URL: id.Version}}
		},
		Refused: &rollout.Spec{Package: &rollout.Package{Name: "greeter"}},
		Fail: func(t testing.TB, d rollout.Deployer, r rollout.Replica) {
			require.NoError(t, d.(*machines).Change(r.ID, func(r *rollout.Replica) { r.State = rollout.ReplicaFailing }))
		},
		Print: func(t testing.TB, d rollout.Deployer, r rollout.Replica, line string) {
			require.NoError(t, d.(*machines).Print(r.ID, line))
		},
		RealTime: true, // its connections are of the kernel
	})
}

// greets asks a replica at its own address.
func greets(t *testing.T, address string) (status int, text string) {
	t.Helper()
	reply, err := http.Get(address)
	require.NoError(t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return reply.StatusCode, string(body)
}

// refuses reports whether nobody listens at the address of a replica any more.
func refuses(address string) bool {
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err == nil {
		c.Close()
	}
	return err != nil
}

func TestEachReplicaListensUntilItIsStopped(t *testing.T) {
	t.Parallel()
	m, ctx := newMachines(memory.Cluster{}), t.Context()
	defer m.Close()
	id := rollout.RevisionID{Service: greeterID, Version: "v1", Run: "run"}
	spec := rollout.Spec{Image: &rollout.Image{URL: "greeter:1"}}
	require.NoError(t, m.Ensure(ctx, id, spec, 2))
	two, err := m.Observe(ctx, greeterID)
	require.NoError(t, err)
	require.Len(t, two, 2)
	for _, r := range two {
		require.True(t, strings.HasPrefix(r.Endpoint, "http://127.0.0.1:"), r.Endpoint)
		_, text := greets(t, r.Endpoint)
		require.Equal(t, "v1 greeter:1 hello\n", text)
	}
	require.NoError(t, m.Stop(ctx, id, []string{two[0].ID}, time.Second))
	require.True(t, refuses(two[0].Endpoint))
	require.False(t, refuses(two[1].Endpoint))
	m.Close()
	require.True(t, refuses(two[1].Endpoint))
	require.ErrorIs(t, m.Ensure(ctx, id, spec, 3), net.ErrClosed, "and nobody listens again")
}

func TestAClientThatDoesNotAskKeepsNoReplicaFromEnding(t *testing.T) {
	t.Parallel()
	m, ctx := newMachines(memory.Cluster{}), t.Context()
	defer m.Close()
	id := rollout.RevisionID{Service: greeterID, Version: "v1", Run: "run"}
	require.NoError(t, m.Ensure(ctx, id, rollout.Spec{Image: &rollout.Image{URL: "greeter:1"}}, 1))
	one, err := m.Observe(ctx, greeterID)
	require.NoError(t, err)
	silent, err := net.Dial("tcp", strings.TrimPrefix(one[0].Endpoint, "http://"))
	require.NoError(t, err)
	defer silent.Close()
	_, err = io.WriteString(silent, "GET / HTTP/1.1\r\n") // and never the rest
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, m.Stop(ctx, id, []string{one[0].ID}, 100*time.Millisecond))
	require.Less(t, time.Since(began), waitAtMost)
	require.True(t, refuses(one[0].Endpoint))
}

func TestAReplicaFailsAtEqualDistances(t *testing.T) {
	t.Parallel()
	m, ctx := newMachines(memory.Cluster{}), t.Context()
	defer m.Close()
	id := rollout.RevisionID{Service: greeterID, Version: "v1", Run: "run"}
	spec := rollout.Spec{Image: &rollout.Image{URL: "greeter:3"}, Environment: map[string]string{"FAIL": "5"}}
	require.NoError(t, m.Ensure(ctx, id, spec, 1))
	one, err := m.Observe(ctx, greeterID)
	require.NoError(t, err)
	for n := 1; n <= 100; n++ {
		status, _ := greets(t, one[0].Endpoint)
		require.Equal(t, n%20 == 0, status == http.StatusInternalServerError, n)
	}
	for _, wrong := range []string{"-1", "101", "some"} {
		_, err := m.Check(ctx, id, rollout.Spec{Image: spec.Image, Environment: map[string]string{"FAIL": wrong}})
		require.ErrorIs(t, err, rollout.ErrInvalid)
	}
}

func TestNoReplicaOutlivesTheServer(t *testing.T) {
	t.Parallel()
	c, _, stop := start(t, options{state: t.TempDir()})
	var endpoints []string
	require.Eventually(t, func() bool {
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
	for _, e := range endpoints {
		_, text := greets(t, e)
		require.Equal(t, "greeter-001 greeter:1 hello\n", text)
	}
	stop()
	for _, e := range endpoints {
		require.True(t, refuses(e), e)
	}
}
