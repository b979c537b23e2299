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
			s := patient("passed")
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

// visitors ask services where they are.
type visitors struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	client *http.Client
	mu     sync.Mutex
	sent   int
	lost   []string
}

// visit begins to ask.
func visit(services []rollout.Instance) *visitors {
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitors{cancel: cancel, client: &http.Client{Timeout: time.Minute}}
	for _, i := range services {
		v.all.Go(func() {
			for ctx.Err() == nil {
				v.ask(i.Endpoint)
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	return v
}

func (v *visitors) ask(endpoint string) {
	reply, err := v.client.Get(endpoint + "/")
	if err == nil {
		_, err = io.Copy(io.Discard, reply.Body)
		_ = reply.Body.Close()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sent++; err != nil {
		v.lost = append(v.lost, err.Error())
	}
}

// leave ends the visits once there were a hundred, and returns what was lost.
func (v *visitors) leave() (lost []string) {
	enough := func() bool { v.mu.Lock(); defer v.mu.Unlock(); return v.sent > 100 }
	for late := time.Now().Add(time.Minute); !enough() && time.Now().Before(late); {
		time.Sleep(10 * time.Millisecond)
	}
	v.cancel()
	v.all.Wait()
	v.client.CloseIdleConnections()
	return v.lost
}

func TestAControllerThatIsKilledInMidRoll(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"promote", "cancel"} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			c := controlled(t)
			c.begins("controls")
			c.does("roll v1")
			c.until("succeeded")
			c.does("roll v2")
			run := c.until("paused")
			before, pids := c.instances(), c.pids()
			require.Len(t, before["v1"], 2)
			require.NotEmpty(t, before["v2"])
			require.Len(t, pids, len(before["v1"])+len(before["v2"]))
			visitors := visit(slices.Concat(before["v1"], before["v2"]))

			c.dies()
			time.Sleep(300 * time.Millisecond)
			require.Equal(t, pids, c.pids(), "they go on")
			c.begins("controls")
			require.Equal(t, run, c.until("paused"))
			time.Sleep(2500 * time.Millisecond) // the lease of the dead one is over
			require.Equal(t, pids, c.pids(), "nothing is started again, and nothing a second time")
			require.Empty(t, visitors.leave())

			stays, goes, state := "v2", "v1", "succeeded"
			if then == "cancel" {
				stays, goes, state = "v1", "v2", "cancelled"
			}
			visitors = visit(before[stays])
			c.does(then + " " + run)
			require.Equal(t, run, c.until(state))
			require.Empty(t, visitors.leave())
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
// goes on, or before it was told of one.
func TestAControllerThatIsKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	long(t)
	c := controlled(t)
	c.begins("controls")
	c.does("roll v1")
	last, begun := c.until("succeeded"), 0
	visitors := visit(c.instances()["v1"])
	for i := range 12 {
		c.does(fmt.Sprint("roll v", i+2))
		time.Sleep(time.Duration(i) * 60 * time.Millisecond)
		c.dies()
		c.begins("controls")
		run := c.goesOn(last)
		if run == last {
			continue
		}
		begun++
		c.does("cancel " + run)
		last = c.until("cancelled")
		require.Equal(t, run, last)
		require.Len(t, c.pids(), 2, i)
	}
	require.NotZero(t, begun, "it was killed each time before it began")
	require.Empty(t, visitors.leave())
}

// goesOn is the run that pauses next, or the last one, where no other had begun.
func (c *control) goesOn(last string) string {
	c.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case line, ok := <-c.out:
			require.True(c, ok)
			if state, id, _ := strings.Cut(line, " "); state == "paused" || id == last {
				return id
			}
		case <-late:
			require.Fail(c, "it never goes on", last)
		}
	}
}
