//go:build linux

package process_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestAProgramThatEndsAtOnceIsQuotedAndTriedAgain(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("exits"), 1)
	begun := time.Now()
	r := m.one(func(r rollout.Replica) bool { return r.Restarts >= 4 })
	require.Equal(t, rollout.ReplicaFailing, r.State)
	require.Contains(t, r.Failure, "ended with status 1")
	require.Contains(t, r.Failure, "no such database")
	require.GreaterOrEqual(t, time.Since(begun), 700*time.Millisecond, "it pauses longer and longer")
}

func TestAProgramThatIsKilledStartsAgainWhereItWas(t *testing.T) {
	t.Parallel()
	for _, play := range []string{"passed", "port"} {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			m := open(t, process.Config{})
			m.ensure(revision("v1"), spec(play), 1)
			before := m.one(ready)
			pid := m.pid(before)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
			require.Equal(t, before.Endpoint, after.Endpoint)
			require.NotEqual(t, pid, m.pid(after))
		})
	}
}

func TestAServiceOnItsPortIsReadyAsSoonAsItAnswers(t *testing.T) {
	t.Parallel()
	m, s := open(t, process.Config{}), spec("port")
	s.Health = &rollout.Health{Timeout: 10 * time.Minute}
	m.ensure(revision("v1"), s, 1)
	m.one(ready)
}

func TestWhoConnectsWhileAPassedListenerIsStartedAgainIsAnswered(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("passed"), 1)
	r := m.one(ready)
	for range 3 {
		require.NoError(t, syscall.Kill(m.pid(r), syscall.SIGKILL))
		m.eventually(func() bool { return m.all()[0].State != rollout.ReplicaReady }, func() any { return m.all() })
		require.Equal(t, "passed", m.get(r, "/"))
	}
}

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
			l, err := net.Listen("tcp", strings.TrimPrefix(r.Endpoint, "http://"))
			require.NoError(t, err, "its port is free")
			require.NoError(t, l.Close())
			require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, 0))
			require.Empty(t, m.instances())
		})
	}
}

// child is the process that a family has started, once it ignores SIGTERM.
func (m *machine) child(id rollout.RevisionID) (pid int) {
	m.Helper()
	m.eventually(func() bool {
		_, rest, _ := strings.Cut(m.output(id), "child ")
		_, err := fmt.Sscan(rest, &pid)
		return err == nil
	}, func() any { return m.output(id) })
	return pid
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

func TestAPortThatIsTakenIsSaid(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	m := open(t, process.Config{})
	s := spec("port")
	port := l.Addr().(*net.TCPAddr).Port
	s.Port = &port
	m.ensure(revision("v1"), s, 1)
	r := m.one(func(r rollout.Replica) bool { return r.Failure != "" })
	require.Equal(t, fmt.Sprintf("port %d is taken", port), r.Failure)
	require.NoError(t, l.Close())
	require.Equal(t, fmt.Sprintf("http://127.0.0.1:%d", port), m.one(ready).Endpoint)
}

func TestReadinessIsAnAnswerAsTheServiceWantsToBeAsked(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	for _, tt := range []struct {
		name    string
		health  rollout.Health
		failure string // "" if it gets ready
	}{
		{"as it is asked", rollout.Health{Path: "/up", Host: "shop.example", Headers: map[string]string{"X-Forwarded-Proto": "https"}}, ""},
		{"without the header", rollout.Health{Path: "/up", Host: "shop.example", Status: 200}, "GET /up: 301 Moved Permanently → https://"},
		{"without the host", rollout.Health{Path: "/up", Headers: map[string]string{"X-Forwarded-Proto": "https"}, Status: 200}, "GET /up: 403 Forbidden: no such shop"},
		{"where it hangs", rollout.Health{Path: "/hangs", Timeout: 50 * time.Millisecond}, "no answer within 50ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := revision("v1")
			id.Run = "run " + tt.name
			s := spec("picky")
			s.Health = &tt.health
			m.ensure(id, s, 1)
			r := m.one(func(r rollout.Replica) bool { return r.Failure != "" || ready(r) })
			if tt.failure == "" {
				r = m.one(ready)
			} else {
				r = m.one(func(r rollout.Replica) bool { // with the end of its output
					return strings.Contains(r.Failure, tt.failure) && strings.Contains(r.Failure, "picky about its visitors")
				})
			}
			require.NoError(t, m.d.Stop(t.Context(), id, []string{r.ID}, 0))
		})
	}
}

func TestWhatCannotRunIsRefused(t *testing.T) {
	t.Parallel()
	m, two, port, outside := open(t, process.Config{}), 2, 8080, "../outside"
	for _, tt := range []struct {
		spec  rollout.Spec
		is    error
		field string
	}{
		{rollout.Spec{}, rollout.ErrMissing, "Command"},
		{rollout.Spec{Addresses: []string{"http://127.0.0.1:1"}}, errors.ErrUnsupported, "Addresses"},
		{rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, errors.ErrUnsupported, "Config.Build"},
		{rollout.Spec{Command: []string{"/no/such/program"}}, rollout.ErrInvalid, "Command"},
		{rollout.Spec{Command: []string{"sh"}, Environment: map[string]string{"PORT": "1"}}, rollout.ErrInvalid, "PORT"},
		{rollout.Spec{Command: []string{"sh"}, Port: &port, MaxReplicas: &two}, rollout.ErrInvalid, "Port 8080"},
		{rollout.Spec{Command: []string{"sh"}, Logs: &outside}, rollout.ErrInvalid, "Logs"},
		{rollout.Spec{Archive: &rollout.Archive{Digest: make([]byte, 32), Command: []string{"x"}}}, rollout.ErrMissing, "Archive.URL"},
		{rollout.Spec{Archive: &rollout.Archive{URL: "http://x", Command: []string{"x"}}}, rollout.ErrInvalid, "Archive.Digest"},
		{rollout.Spec{Archive: &rollout.Archive{URL: "http://x", Digest: make([]byte, 32)}}, rollout.ErrMissing, "Archive.Command"},
		{rollout.Spec{Archive: &rollout.Archive{URL: "http://x", Digest: make([]byte, 32), Command: []string{"../x"}}}, rollout.ErrInvalid, "Archive.Command"},
	} {
		_, err := m.d.Check(t.Context(), revision("v1"), tt.spec)
		require.ErrorIs(t, err, tt.is)
		require.ErrorContains(t, err, tt.field)
	}
	cpu := 1.0
	left, err := m.d.Check(t.Context(), revision("v1"), rollout.Spec{Command: []string{"sh"}, CPU: &cpu, Volumes: []rollout.Volume{{Name: "v"}}})
	require.NoError(t, err)
	require.True(t, slices.Contains(left, "Volumes"))
}

func TestWhatAGroupUsesIsSeen(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("busy"), 1)
	m.one(ready)
	r := m.one(func(r rollout.Replica) bool { return r.CPU > 0.05 })
	require.Greater(t, r.Memory, int64(1<<20))
}

// picky answers as a service behind a proxy that ends TLS may.
func picky(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/hangs":
		<-r.Context().Done()
	case r.Header.Get("X-Forwarded-Proto") != "https":
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	case r.Host != "shop.example":
		http.Error(w, "no such shop", http.StatusForbidden)
	}
}
