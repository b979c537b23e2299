//go:build linux

package process_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func init() { roles["controls"] = controls }

// controls is a program that rolls what it is told to, and takes up what an
// earlier one has left. It says what there is when that changes, and does what it
// reads.
func controls() error {
	ctx := context.Background()
	db, err := sqlite.Open(sqlite.Config{Path: os.Getenv("DB")})
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	d, err := process.Open(process.Config{Dir: os.Getenv("DIR"), Store: db, Logger: quiet})
	if err != nil {
		return err
	}
	c, err := rollout.New(rollout.Config{
		Store: db, Deployer: d, Router: traffic.New(traffic.Config{}), Logger: quiet, LockTTL: time.Second,
		Strategy: rollout.Strategy{
			Steps: []rollout.Step{{Percent: 50, Hold: -1, Manual: true}}, MinReady: 50 * time.Millisecond, KeepOld: -1,
			Tolerance: rollout.Tolerance{Off: true},
		},
	})
	if err != nil {
		return err
	}
	go func() { fmt.Println("ended", c.Run(ctx)) }()
	go says(ctx, c)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		does, what, _ := strings.Cut(in.Text(), " ")
		var err error
		switch does {
		case "roll":
			two := 2
			s := spec("passed")
			s.Environment["NAME"], s.MinReplicas, s.MaxReplicas = what, &two, &two
			_, err = c.Start(ctx, rollout.Request{Service: shop, Version: what, Spec: s})
		case "promote":
			err = c.Promote(ctx, what, rollout.By{Actor: "ann"})
		case "cancel":
			err = c.Cancel(ctx, what, rollout.By{Actor: "ann"})
		}
		if err != nil {
			fmt.Println("failed", does, err)
		}
	}
	select {}
}

// says prints each change of the run: "paused ID", "succeeded ID".
func says(ctx context.Context, c *rollout.Controller) {
	last := ""
	for ; ; time.Sleep(10 * time.Millisecond) {
		for run, err := range c.History(ctx, rollout.Query{}) {
			if is := fmt.Sprint(run.State, " ", run.ID); err == nil && is != last {
				last = is
				fmt.Println(is)
			}
			break
		}
	}
}

// control is a program that controls.
type control struct {
	*testing.T
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string
}

func (c *control) folder() string { return filepath.Join(c.dir, "services") }

// begins starts it.
func (c *control) begins() {
	c.Helper()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), role+"=controls", "DIR="+c.folder(), "DB="+filepath.Join(c.dir, "upkeep.db"))
	var err error
	c.in, err = c.cmd.StdinPipe()
	require.NoError(c, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(c, err)
	require.NoError(c, c.cmd.Start())
	lines := make(chan string, 1000)
	c.out = lines
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
}

func (c *control) does(what string) {
	c.Helper()
	_, err := io.WriteString(c.in, what+"\n")
	require.NoError(c, err)
}

// until reads what it says until a word, and returns what follows.
func (c *control) until(word string) string {
	c.Helper()
	late := time.After(time.Minute)
	var said []string
	for {
		select {
		case line, ok := <-c.out:
			if rest, is := strings.CutPrefix(line, word+" "); is {
				return rest
			}
			said = append(said, line)
			require.True(c, ok, "%q instead of %s", said, word)
			require.NotContains(c, line, "failed", said)
		case <-late:
			require.Fail(c, "it never says so", "%s, but %q", word, said)
		}
	}
}

func (c *control) dies() {
	c.Helper()
	require.NoError(c, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

// instances are what is in store, by the version.
func (c *control) instances() map[string][]rollout.Instance {
	c.Helper()
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(c.dir, "upkeep.db")})
	require.NoError(c, err)
	defer db.Close()
	host, err := os.Hostname()
	require.NoError(c, err)
	all := map[string][]rollout.Instance{}
	for i, err := range db.Instances(host).List(c.Context()) {
		require.NoError(c, err)
		all[i.Revision.Version] = append(all[i.Revision.Version], i)
	}
	return all
}

func (c *control) pids() (pids []int) {
	for pid := range marked(c, c.folder()) {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// visits asks services where they are, until the returned function is called,
// which says what was lost.
func visits(all []rollout.Instance) (over func() (sent int, lost []string)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	var mu sync.Mutex
	var sent int
	var lost []string
	client := &http.Client{Timeout: 30 * time.Second}
	for _, i := range all {
		wait.Go(func() {
			for ctx.Err() == nil {
				reply, err := client.Get(i.Endpoint + "/")
				if err == nil {
					_, err = io.Copy(io.Discard, reply.Body)
					_ = reply.Body.Close()
				}
				mu.Lock()
				if sent++; err != nil {
					lost = append(lost, err.Error())
				}
				mu.Unlock()
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	return func() (int, []string) {
		cancel()
		wait.Wait()
		client.CloseIdleConnections()
		return sent, lost
	}
}

func TestAControllerThatIsKilledInMidRoll(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"promote", "cancel"} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			c := &control{T: t, dir: t.TempDir()}
			sweeping(t, c.folder())
			c.begins()
			t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
			c.does("roll v1")
			c.until("succeeded")
			c.does("roll v2")
			run := c.until("paused")
			before, pids := c.instances(), c.pids()
			require.Len(t, before["v1"], 2)
			require.NotEmpty(t, before["v2"])
			require.Len(t, pids, len(before["v1"])+len(before["v2"]))
			over := visits(slices.Concat(before["v1"], before["v2"]))

			c.dies()
			time.Sleep(300 * time.Millisecond)
			require.Equal(t, pids, c.pids(), "they go on")
			c.begins()
			require.Equal(t, run, c.until("paused"))
			time.Sleep(2500 * time.Millisecond) // the lease of the dead one is over
			require.Equal(t, pids, c.pids(), "nothing is started again, and nothing a second time")
			sent, lost := over()
			require.Empty(t, lost)
			require.Greater(t, sent, 100)

			stays, goes, state := "v2", "v1", "succeeded"
			if then == "cancel" {
				stays, goes, state = "v1", "v2", "cancelled"
			}
			over = visits(before[stays])
			c.does(then + " " + run)
			require.Equal(t, run, c.until(state))
			_, lost = over()
			require.Empty(t, lost)
			after := c.instances()
			for late := time.Now().Add(time.Minute); len(after[goes]) > 0 || len(after[stays]) != 2; after = c.instances() {
				require.True(t, time.Now().Before(late), "%v", after)
				time.Sleep(50 * time.Millisecond)
			}
			require.Len(t, c.pids(), 2)
			for _, i := range before[stays] {
				require.True(t, slices.ContainsFunc(after[stays], func(now rollout.Instance) bool { return now.Process == i.Process }), "the same process")
			}
		})
	}
}

// TestAControllerThatIsKilledAtAnyTime kills it again and again while a roll
// goes on.
func TestAControllerThatIsKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	long(t)
	c := &control{T: t, dir: t.TempDir()}
	sweeping(t, c.folder())
	c.begins()
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	c.does("roll v1")
	c.until("succeeded")
	over := visits(c.instances()["v1"])
	for i := range 12 {
		c.does(fmt.Sprint("roll v", i+2))
		time.Sleep(time.Duration(i) * 60 * time.Millisecond)
		c.dies()
		c.begins()
		run := ""
		for run == "" {
			select {
			case line, ok := <-c.out:
				require.True(t, ok)
				if state, id, _ := strings.Cut(line, " "); state == "paused" {
					run = id
				} else if i == 0 && state == "succeeded" { // nothing had begun
					run = "none"
				}
			case <-time.After(time.Minute):
				require.Fail(t, "it never goes on", "%d", i)
			}
		}
		if run == "none" {
			continue
		}
		c.does("cancel " + run)
		c.until("cancelled")
		require.Len(t, c.pids(), 2, i)
	}
	_, lost := over()
	require.Empty(t, lost)
}
