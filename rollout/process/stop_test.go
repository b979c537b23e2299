//go:build linux

package process_test

import (
	"context"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestStopEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		play  string
		grace time.Duration
	}{{"family", 300 * time.Millisecond}, {"slow end", 300 * time.Millisecond}} {
		t.Run(tt.play, func(t *testing.T) {
			t.Parallel()
			m, v1 := open(t, process.Config{}), revision("v1")
			m.ensure(v1, spec(tt.play), 1)
			r := m.one(ready)
			pids := []int{m.pid(r)}
			listener := listenerAt(t, r.Endpoint)
			if tt.play == "family" {
				pids = append(pids, m.child(v1))
				require.NotContains(t, m.output(v1), "has socket:", "the listener is the service's alone")
			}
			begun := time.Now()
			require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, tt.grace))
			require.GreaterOrEqual(t, time.Since(begun), tt.grace, "it has its time")
			for _, pid := range pids {
				require.False(t, alive(pid), pid)
			}
			m.closes(listener) // its port is free
			require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, 0))
			require.Empty(t, m.instances())
		})
	}
}

// What a process leaves is a child of this one if that is the process 1 of a
// container, or takes up orphans as one.
func TestNothingOfAGroupStaysAZombie(t *testing.T) {
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	t.Cleanup(func() { require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) })
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("family"), 1)
	r := m.one(ready)
	leader, child := m.pid(r), m.child(v1)
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, 100*time.Millisecond))
	for _, pid := range []int{leader, child} {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	}
}

func TestAStopThatIsCutShortGoesOn(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("slow end"), 1)
	r := m.one(ready)
	pid := m.pid(r)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	require.Error(t, m.d.Stop(ctx, v1, []string{r.ID}, time.Second))
	require.Equal(t, rollout.ReplicaStopping, m.all()[0].State)
	require.True(t, alive(pid))
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Hour))
	require.Less(t, time.Since(begun), 30*time.Second, "the time counts from the first call")
	require.False(t, alive(pid))
}

func TestWhatLeavesItsGroupIsEndedToo(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("leaves"), 1)
	r := m.one(func(r rollout.Replica) bool { return r.Restarts >= 2 })
	require.Contains(t, r.Failure, "ended with status 0")
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, 0))
	pids := regexp.MustCompile(`daemon (\d+)`).FindAllStringSubmatch(m.output(v1), -1)
	require.NotEmpty(t, pids)
	for _, p := range pids {
		pid, _ := strconv.Atoi(p[1])
		require.False(t, alive(pid), pid)
	}
}
