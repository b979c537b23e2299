//go:build linux

package process_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// mortal is a store that ends this process, as SIGKILL does, at one of its calls:
// "put 2 after" is the second Put, once it is durable.
type mortal struct {
	process.Store
	at string
}

type mortalInstances struct {
	rollout.InstanceStore
	at            string
	puts, removes int
}

func (m mortal) Instances(host string) rollout.InstanceStore {
	return &mortalInstances{InstanceStore: m.Store.Instances(host), at: m.at}
}

func (m *mortalInstances) dies(call string, n int, when string) {
	if m.at == fmt.Sprintf("%s %d %s", call, n, when) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	}
}

func (m *mortalInstances) Put(ctx context.Context, i rollout.Instance) error {
	m.puts++
	m.dies("put", m.puts, "before")
	err := m.InstanceStore.Put(ctx, i)
	m.dies("put", m.puts, "after")
	return err
}

func (m *mortalInstances) Remove(ctx context.Context, id string) error {
	m.removes++
	m.dies("remove", m.removes, "before")
	err := m.InstanceStore.Remove(ctx, id)
	m.dies("remove", m.removes, "after")
	return err
}

// deploys is a program that starts, or stops, a replica, and then waits for its
// end.
func deploys() error {
	ctx := context.Background()
	db, err := sqlite.Open(sqlite.Config{Path: os.Getenv("DB")})
	if err != nil {
		return err
	}
	d, err := process.Open(process.Config{Dir: os.Getenv("DIR"), Store: mortal{db, os.Getenv("DIES")}})
	if err != nil {
		return err
	}
	id := revision("v1")
	if os.Getenv("DOES") == "stop" {
		for {
			all, err := d.Observe(ctx, shop)
			if err != nil || len(all) == 0 {
				fmt.Println("stopped", err)
				break
			}
			if err := d.Stop(ctx, id, []string{all[0].ID}, 100*time.Millisecond); err != nil {
				return err
			}
		}
	} else {
		if err := d.Ensure(ctx, id, spec(os.Getenv("PLAYS")), 1); err != nil {
			return err
		}
		for {
			all, err := d.Observe(ctx, shop)
			if err != nil {
				return err
			}
			if len(all) == 1 && all[0].State == rollout.ReplicaReady {
				fmt.Println("ready", all[0].Endpoint)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	select {}
}

// deploys runs the program until it dies by itself, or has said that it is ready,
// and returns that. Then it is killed.
func (c *control) deploys(does, plays, dies string) (said string) {
	c.Helper()
	c.begins("deploys", "DOES="+does, "PLAYS="+plays, "DIES="+dies)
	said = <-c.out
	c.dies()
	return said
}

func TestAKillAnywhereInAStartLeavesOneProcess(t *testing.T) {
	t.Parallel()
	for _, plays := range listening() {
		for _, dies := range []string{"", "put 1 before", "put 1 after", "put 2 before", "put 2 after"} {
			t.Run(plays+" "+dies, func(t *testing.T) {
				t.Parallel()
				c := controlled(t)
				t.Cleanup(func() { c.deploys("stop", "", "") })
				said := c.deploys("start", plays, dies)
				require.Equal(t, dies == "", strings.HasPrefix(said, "ready http://"), said)
				before := c.pids()
				again := c.deploys("start", plays, "")
				require.True(t, strings.HasPrefix(again, "ready http://"), again)
				after := c.pids()
				require.Len(t, after, 1)
				if dies == "" || dies == "put 2 after" {
					require.Equal(t, before, after, "it is not started again")
				}
			})
		}
	}
}

func TestAKillAnywhereInAStopLeavesWhatStopsAgain(t *testing.T) {
	t.Parallel()
	for _, plays := range []string{"passed", "slow end"} {
		for _, dies := range []string{"", "remove 1 before", "remove 1 after"} {
			t.Run(plays+" "+dies, func(t *testing.T) {
				t.Parallel()
				c := controlled(t)
				c.deploys("start", plays, "")
				require.Len(t, c.pids(), 1)
				said := c.deploys("stop", "", dies)
				require.Equal(t, dies == "", said == "stopped <nil>", said)
				require.Equal(t, "stopped <nil>", c.deploys("stop", "", ""))
				require.Empty(t, c.pids())
			})
		}
	}
}
