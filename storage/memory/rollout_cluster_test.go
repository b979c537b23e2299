package memory_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

var shopV1 = rollout.RevisionID{Service: rollout.ServiceID{Name: "shop"}, Version: "v1", Run: "one"}

// simulated runs f with a cluster on which a revision has two replicas.
func simulated(t *testing.T, c memory.Cluster, f func(t *testing.T, db *memory.DB, d *memory.Deployer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		d := db.Deployer(c)
		require.NoError(t, d.Ensure(t.Context(), shopV1, rollout.Spec{}, 2))
		f(t, db, d)
	})
}

// states are those of the replicas of the shop, the oldest first.
func states(t *testing.T, d *memory.Deployer) (all []string) {
	t.Helper()
	synctest.Wait()
	replicas, err := d.Observe(t.Context(), shopV1.Service)
	require.NoError(t, err)
	for _, r := range replicas {
		all = append(all, strings.TrimSpace(r.ID+" "+string(r.State)+" "+r.Failure))
	}
	return all
}

func TestASimulatedReplicaIsReadyOnceItHasStartedUp(t *testing.T) {
	simulated(t, memory.Cluster{StartUp: time.Minute}, func(t *testing.T, _ *memory.DB, d *memory.Deployer) {
		time.Sleep(time.Minute - 1)
		require.Equal(t, []string{"r1 starting", "r2 starting"}, states(t, d))
		time.Sleep(time.Nanosecond)
		require.Equal(t, []string{"r1 ready", "r2 ready"}, states(t, d))
	})
}

func TestASimulatedReplicaFailsForAReason(t *testing.T) {
	var asked atomic.Int32
	fail := func(id rollout.RevisionID) error {
		if asked.Add(1) == 1 && id == shopV1 {
			return errors.New("no such program")
		}
		return nil
	}
	simulated(t, memory.Cluster{Fail: fail}, func(t *testing.T, _ *memory.DB, d *memory.Deployer) {
		all := states(t, d)
		require.ElementsMatch(t, []string{"failing no such program", "ready"}, []string{all[0][3:], all[1][3:]})
	})
}

func TestASimulatedClusterTakesItsTime(t *testing.T) {
	simulated(t, memory.Cluster{Latency: time.Second}, func(t *testing.T, _ *memory.DB, d *memory.Deployer) {
		begun := time.Now()
		done := make(chan error, 1)
		time.AfterFunc(time.Second/2, func() { done <- d.Stop(t.Context(), shopV1, []string{"r1"}, 0) })
		require.Equal(t, []string{"r1 stopping", "r2 ready"}, states(t, d)) // half-way through the stop
		require.NoError(t, <-done)
		require.Equal(t, time.Second+time.Second/2, time.Since(begun))
		require.Equal(t, []string{"r2 ready"}, states(t, d))

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, d.Ensure(ctx, shopV1, rollout.Spec{}, 9), context.DeadlineExceeded)
		require.Len(t, states(t, d), 1)
	})
}

func TestASimulatedReplicaDiesByACall(t *testing.T) {
	simulated(t, memory.Cluster{}, func(t *testing.T, _ *memory.DB, d *memory.Deployer) {
		require.NoError(t, d.Kill("r1"))
		require.Equal(t, []string{"r2 ready"}, states(t, d))
		require.ErrorIs(t, d.Kill("r1"), rollout.ErrNotFound)
		require.NoError(t, d.Ensure(t.Context(), shopV1, rollout.Spec{}, 2))
		require.Equal(t, []string{"r2 ready", "r3 ready"}, states(t, d))
	})
}

func TestASimulatedReplicaUsesWhatItIsToldTo(t *testing.T) {
	simulated(t, memory.Cluster{}, func(t *testing.T, _ *memory.DB, d *memory.Deployer) {
		synctest.Wait()
		require.NoError(t, d.Change("r1", func(r *rollout.Replica) {
			r.CPU, r.Memory, r.Restarts, r.ID = 1.5, 1<<20, 2, "other"
			r.State, r.Failure = rollout.ReplicaFailing, "answers nonsense"
		}))
		replicas, err := d.Observe(t.Context(), shopV1.Service)
		require.NoError(t, err)
		require.Equal(t, 1.5, replicas[0].CPU)
		require.Equal(t, int64(1<<20), replicas[0].Memory)
		require.Equal(t, 2, replicas[0].Restarts)
		require.Equal(t, []string{"r1 failing answers nonsense", "r2 ready"}, states(t, d))
		require.ErrorIs(t, d.Change("r9", func(*rollout.Replica) {}), rollout.ErrNotFound)
	})
}

func TestAClosedEngineHasNoCluster(t *testing.T) {
	simulated(t, memory.Cluster{StartUp: time.Second}, func(t *testing.T, db *memory.DB, d *memory.Deployer) {
		logs, err := d.Logs(t.Context(), shopV1, rollout.LogQuery{Follow: true})
		require.NoError(t, err)
		require.NoError(t, db.Close())
		_, err = io.ReadAll(logs)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = d.Observe(t.Context(), shopV1.Service)
		require.ErrorIs(t, err, storage.ErrClosed)
		require.ErrorIs(t, d.Kill("r1"), storage.ErrClosed)
		require.ErrorIs(t, db.Deployer(memory.Cluster{}).Ensure(t.Context(), shopV1, rollout.Spec{}, 1), storage.ErrClosed)
	})
}

func TestWhoFollowsMuchOutputMissesOnlyTheOldest(t *testing.T) {
	simulated(t, memory.Cluster{}, func(t *testing.T, _ *memory.DB, d *memory.Deployer) {
		synctest.Wait()
		logs, err := d.Logs(t.Context(), shopV1, rollout.LogQuery{Tail: 20_000, Follow: true})
		require.NoError(t, err)
		for range 15_000 {
			require.NoError(t, d.Change("r1", func(*rollout.Replica) {}))
		}
		require.NoError(t, d.Kill("r2"))
		lines := bufio.NewScanner(logs)
		n := 0
		for lines.Scan() && lines.Text() != "r2 killed" {
			n++
		}
		require.Equal(t, "r2 killed", lines.Text())
		require.Greater(t, n, 9_000)
		require.Less(t, n, 11_100)
		require.NoError(t, logs.Close())
		require.False(t, lines.Scan())
	})
}
