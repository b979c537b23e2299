//go:build linux

package process_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestAProgramGetsACleanEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SERVER", "s3cret")
	m := open(t, process.Config{Environment: []string{"FROM_CONFIG=1", "NAME=config"}})
	s := spec("passed")
	s.Environment["FROM_SPEC"] = "1=2"
	m.ensure(revision("v1"), s, 1)
	r := m.one(ready)
	got := map[string]string{}
	for line := range strings.Lines(m.get(r, "/environment")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		got[name] = value
	}
	require.Equal(t, strconv.Itoa(m.pid(r)), got["LISTEN_PID"])
	require.Equal(t, []string{"1", "1", "1=2", "passed"}, []string{got["LISTEN_FDS"], got["FROM_CONFIG"], got["FROM_SPEC"], got["NAME"]})
	for name := range got {
		require.Contains(t, []string{
			"PATH", "HOME", "LANG", "PORT", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "UPKEEP_INSTANCE",
			"FROM_CONFIG", "FROM_SPEC", "NAME", "GORACE", role, "PWD", "OLDPWD", "SHLVL", "_", // the last four are the shell's
		}, name)
	}
}

// ralphlange/procServ#48: a program inherits signals that are blocked, and does not
// end.
func TestAServiceHasNoSignalBlocked(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	// The shell reads it by itself: as long as it starts another it blocks all.
	s := rollout.Spec{Command: []string{"/bin/sh", "-c", `while read -r line; do echo "$line"; done </proc/$$/status; exec sleep 3600`}}
	m.ensure(revision("v1"), s, 1)
	m.eventually(func() bool { return strings.Contains(m.output(revision("v1")), "voluntary_ctxt_switches") }, func() any { return m.output(revision("v1")) })
	require.Regexp(t, `SigBlk:\s+0{16}\b`, m.output(revision("v1")))
	begun := time.Now()
	m.stop(m.all()[0], time.Hour)
	require.Less(t, time.Since(begun), 30*time.Second)
}

func TestAPortThatIsTakenIsSaid(t *testing.T) {
	t.Parallel()
	l, port := listener(t)
	defer l.Close()
	m := open(t, process.Config{})
	s := spec("port")
	s.Port = &port
	m.ensure(revision("v1"), s, 1)
	r := m.one(func(r rollout.Replica) bool { return r.Failure != "" })
	require.Equal(t, fmt.Sprintf("port %d is taken", port), r.Failure)
	require.NoError(t, l.Close())
	require.Equal(t, fmt.Sprintf("http://127.0.0.1:%d", port), m.one(ready).Endpoint)
}

func TestAPortThatWasChosenIsTheOnlyPlaceToServe(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("port"), 1)
	before := m.one(ready)
	require.Contains(t, m.get(before, "/environment"), "LISTEN_FDS=1")
	require.NoError(t, syscall.Kill(m.pid(before), syscall.SIGKILL))
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
	require.NotContains(t, m.get(after, "/environment"), "LISTEN_FDS")
	require.True(t, after.StartedAt.After(before.StartedAt))
}

func TestTwentyReplicasAtOnce(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := m.d.Ensure(t.Context(), v1, spec("passed"), 20); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	m.eventually(func() bool {
		for _, r := range m.all() {
			if !ready(r) {
				return false
			}
		}
		return true
	}, func() any { return m.all() })
	require.Len(t, m.all(), 20)
	require.Len(t, marked(t, m.config.Dir), 20)
	endpoints := map[string]bool{}
	var ids []string
	for _, r := range m.all() {
		endpoints[r.Endpoint] = true
		ids = append(ids, r.ID)
	}
	require.Len(t, endpoints, 20)
	m.reopen()
	require.Len(t, m.all(), 20)
	require.NoError(t, m.d.Stop(t.Context(), v1, ids, 10*time.Second))
	require.Empty(t, m.all())
	require.Empty(t, marked(t, m.config.Dir))
	require.Empty(t, m.instances())
}

// TestEnsureAndStopRace has both at once, of the same revision: what there is in
// the end is what is in store and what runs.
func TestEnsureAndStopRace(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	rounds := 6
	if full() {
		rounds = 60
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for i := range rounds {
				if err := m.d.Ensure(ctx, v1, spec("passed"), 1+i%3); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(i%4) * 10 * time.Millisecond)
			}
		})
		all.Go(func() {
			for range rounds {
				seen, err := m.d.Observe(ctx, shop)
				if err != nil {
					t.Error(err)
					return
				}
				var ids []string
				for _, r := range seen {
					ids = append(ids, r.ID)
				}
				if err := m.d.Stop(ctx, v1, ids, time.Second); err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	all.Wait()
	m.ensure(v1, spec("passed"), 2)
	m.eventually(func() bool {
		n := 0
		for _, r := range m.all() {
			if ready(r) {
				n++
			}
		}
		return n == len(m.all())
	}, func() any { return m.all() })
	there := map[string]bool{}
	for _, r := range m.all() {
		there[r.ID+"@"+m.config.Dir] = true
	}
	for pid, mark := range marked(t, m.config.Dir) {
		require.True(t, there[mark], "%d is nobody's", pid)
	}
	require.Len(t, m.instances(), len(there))
}
