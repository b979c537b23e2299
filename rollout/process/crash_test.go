//go:build linux

package process_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/procgroup"
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

// deployer is a program that deploys, and ends when it is to die.
type deployer struct {
	*testing.T
	dir string
}

// run runs the program until it dies by itself, or has said that it is ready, and
// returns that. Then it is killed.
func (d *deployer) run(does, plays, dies string) (said string) {
	d.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=deploys", "DIR="+filepath.Join(d.dir, "services"), "DB="+filepath.Join(d.dir, "upkeep.db"),
		"DOES="+does, "PLAYS="+plays, "DIES="+dies)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(d, err)
	require.NoError(d, c.Start())
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		said = lines.Text()
	}
	require.NoError(d, c.Process.Kill())
	_ = c.Wait()
	return said
}

// running are the pids of what is marked as the deployer's.
func (d *deployer) running() (pids []int) {
	d.Helper()
	marks, err := procgroup.Marked("UPKEEP_INSTANCE")
	require.NoError(d, err)
	for pid, value := range marks {
		if strings.HasSuffix(value, "@"+filepath.Join(d.dir, "services")) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func TestAKillAnywhereInAStartLeavesOneProcess(t *testing.T) {
	t.Parallel()
	for _, plays := range listening() {
		for _, dies := range []string{"", "put 1 before", "put 1 after", "put 2 before", "put 2 after"} {
			t.Run(plays+" "+dies, func(t *testing.T) {
				t.Parallel()
				d := &deployer{t, t.TempDir()}
				t.Cleanup(func() { d.run("stop", "", "") })
				said := d.run("start", plays, dies)
				require.Equal(t, dies == "", strings.HasPrefix(said, "ready http://"), said)
				before := d.running()
				again := d.run("start", plays, "")
				require.True(t, strings.HasPrefix(again, "ready http://"), again)
				after := d.running()
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
				d := &deployer{t, t.TempDir()}
				d.run("start", plays, "")
				require.Len(t, d.running(), 1)
				said := d.run("stop", "", dies)
				require.Equal(t, dies == "", said == "stopped <nil>", said)
				require.Equal(t, "stopped <nil>", d.run("stop", "", ""))
				require.Empty(t, d.running())
			})
		}
	}
}
