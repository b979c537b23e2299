//go:build linux

package process_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// picky answers as a service behind a proxy that ends TLS may.
func picky() error {
	fmt.Println("picky about its visitors")
	l, err := process.Listener()
	if err != nil {
		return err
	}
	return (&http.Server{Handler: http.HandlerFunc(behindProxy)}).Serve(l)
}

func behindProxy(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/hangs":
		<-r.Context().Done()
	case r.Header.Get("X-Forwarded-Proto") != "https":
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	case r.Host != "shop.example":
		http.Error(w, "no such shop", http.StatusForbidden)
	}
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

func TestAServiceOnItsPortIsReadyAsSoonAsItAnswers(t *testing.T) {
	t.Parallel()
	m, s := open(t, process.Config{}), spec("port")
	s.Health = &rollout.Health{Timeout: 10 * time.Minute}
	m.ensure(revision("v1"), s, 1)
	m.one(ready)
}

func TestAConnectionIsAnAnswerOfAPortAlone(t *testing.T) {
	t.Parallel()
	m, v1, v2 := open(t, process.Config{}), revision("v1"), revision("v2")
	s := spec("port")
	s.Health = &rollout.Health{TCP: true}
	m.ensure(v1, s, 1)
	r := m.one(ready)
	require.Equal(t, "port", m.get(r, "/"))
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Minute))
	s = spec("silent") // whose listener accepts by itself
	s.Health = &rollout.Health{TCP: true}
	m.ensure(v2, s, 1)
	require.Equal(t, rollout.ReplicaStarting, m.one(func(r rollout.Replica) bool { return r.Failure != "" }).State)
}

func TestADelayIsOfWhatIsStarted(t *testing.T) {
	t.Parallel()
	m, s := open(t, process.Config{}), spec("passed")
	s.Health = &rollout.Health{Delay: 300 * time.Millisecond}
	begun := time.Now()
	m.ensure(revision("v1"), s, 1)
	r := m.one(ready)
	require.GreaterOrEqual(t, time.Since(begun), s.Health.Delay)
	pid := m.pid(r)
	require.NoError(t, m.d.Close())
	i := m.instances()[0]
	i.Spec.Health.Delay = time.Hour
	require.NoError(t, m.config.Store.Instances(m.host()).Put(t.Context(), i))
	m.reopen()
	m.one(ready) // which has been running
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	m.one(func(r rollout.Replica) bool {
		return r.Restarts == 1 && r.State == rollout.ReplicaStarting && r.Failure != ""
	})
}

// F1bonacc1/process-compose#403: what is not ready is killed for good. And
// vstorm-co/agenticos#336: what is alive and does not answer is taken for well,
// and cannot be stopped.
func TestAFrozenServiceIsUnreadyAndComesBackAndCanBeStopped(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	s := spec("passed")
	s.Health = &rollout.Health{Timeout: 500 * time.Millisecond, Interval: 50 * time.Millisecond}
	m.ensure(revision("v1"), s, 1)
	pid := m.pid(m.one(ready))
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	r := m.one(func(r rollout.Replica) bool { return r.State == rollout.ReplicaFailing })
	require.Contains(t, r.Failure, "no answer within 500ms")
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	require.Zero(t, m.one(ready).Restarts)
	require.Equal(t, pid, m.pid(m.one(ready)))

	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	m.stop(r, 200*time.Millisecond)
	require.False(t, alive(pid))
}
