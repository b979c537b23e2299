//go:build linux

package process_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// takesTime is a service of which some requests last as long as they say.
func takesTime() error {
	var held atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("/", service())
	mux.HandleFunc("GET /held", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, held.Load()) })
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		held.Add(1)
		defer held.Add(-1)
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		fmt.Fprint(w, "slow")
	})
	return serve(mux, time.Minute, process.Listener)
}

// lost is a request without an answer.
type lost struct {
	path  string
	begun time.Time
	why   string
}

func (l lost) String() string { return l.path + " " + l.begun.Format("05.000") + " " + l.why }

// asks asks once, and notes what has no answer.
func (s *site) asks(path string) {
	l := lost{path: path, begun: time.Now()}
	reply, err := s.client.Get(s.url + path)
	if err == nil {
		_, err = io.Copy(io.Discard, reply.Body)
		_ = reply.Body.Close()
		if err == nil && reply.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", reply.Status)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	if err != nil {
		l.why = err.Error()
		s.lost = append(s.lost, l)
	}
}

// load asks 200 times a second, or less where fifty wait for an answer, until the
// returned function is called, which waits for the answers.
func (s *site) load() (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		waiting := make(chan struct{}, 50)
		for n := 0; ctx.Err() == nil; n++ {
			<-tick.C
			waiting <- struct{}{}
			path := "/"
			if n%20 == 0 {
				path = "/slow?ms=100"
			}
			all.Go(func() {
				defer func() { <-waiting }()
				s.asks(path)
			})
		}
	})
	return func() { cancel(); all.Wait() }
}

// answers waits until so many more requests have had their answer, or none.
func (s *site) answers(n int) {
	s.Helper()
	sent := func() int { s.mu.Lock(); defer s.mu.Unlock(); return s.sent }
	enough := sent() + n
	s.eventually(func() bool { return sent() >= enough }, func() any { return sent() })
}

// onlyAt checks that nothing was lost but what was in flight at an endpoint when
// it was killed.
func (s *site) onlyAt(endpoint string, killed time.Time) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lost {
		require.True(s, l.begun.Before(killed), "%s, killed %s", l, killed.Format("05.000"))
	}
	for _, served := range s.failed {
		require.Equal(s, endpoint, served.Endpoint, served)
	}
	s.TB.Logf("%d requests, %d of them lost in flight", s.sent, len(s.lost))
}

func TestAnEndpointThatIsKilledLosesOnlyWhatItHad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.c.Roll(t.Context(), s.request("v1", 3))
	require.NoError(t, err)
	over := s.load()
	s.answers(50)
	r := s.of("v1")
	slay(t, s.pid(r))
	killed := time.Now()
	s.eventually(func() bool { restarts, well := s.restarts(); return restarts == 1 && well == 3 }, func() any { return s.all() })
	s.answers(50)
	over()
	s.onlyAt(r.Endpoint, killed)
	restarts, _ := s.restarts()
	require.Equal(t, 1, restarts)
}

func TestAProcessThatIsKilledInMidDrain(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"v1", "v2"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			needstest.Pace(t, 2*time.Second, func(drains time.Duration) bool { return killedInMidDrain(t, victim, drains) })
		})
	}
}

// killedInMidDrain kills a process while the old one drains for that long. It
// reports whether that was in time.
func killedInMidDrain(t *testing.T, victim string, drains time.Duration) bool {
	s := newSite(t)
	_, err := s.c.Roll(t.Context(), s.request("v1", 1))
	require.NoError(t, err)
	r := s.of("v1")
	pid, began, open := s.pid(r), time.Now(), make(chan struct{})
	go func() {
		defer close(open)
		s.asks(fmt.Sprint("/slow?ms=", drains.Milliseconds())) // which the old one drains for
	}()
	s.eventually(func() bool { return s.get(r, "/held") == "1" }, func() any { return r })
	over := s.load()
	ended := make(chan error, 1)
	var run rollout.Run
	go func() {
		var err error
		run, err = s.c.Roll(t.Context(), s.request("v2", 1))
		ended <- err
	}()
	s.eventually(func() bool { return s.share("v2") == 100 }, func() any { return s.all() })
	if victim == "v2" {
		r = s.of("v2")
		pid = s.pid(r)
	}
	slay(t, pid)
	killed := time.Now()
	require.NoError(t, <-ended)
	<-open
	s.answers(50)
	over()
	if killed.Sub(began) > drains {
		return false
	}
	s.onlyAt(r.Endpoint, killed)
	require.Equal(t, rollout.StateSucceeded, run.State)
	s.eventually(func() bool {
		all := s.all()
		return len(all) == 1 && all[0].Revision.Version == "v2" && ready(all[0])
	}, func() any { return s.all() })
	require.Len(t, marked(t, s.config.Dir), 1)
	return true
}

func TestAServiceThatSleepsIsWokenByARequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.request("v1", 1)
	none := 0
	r.Spec.MinReplicas = &none
	_, err := s.c.Roll(t.Context(), r)
	require.NoError(t, err)
	pid := s.pid(s.of("v1"))
	// In five minutes its record would say so.
	store := s.config.Store.(*sqlite.DB).Rollouts()
	s.eventually(func() bool {
		var svc rollout.Service
		svc, err = store.Service(t.Context(), shop)
		require.NoError(t, err)
		svc.Revisions[0].Replicas = 0
		svc.Generation++
		_, err = store.Save(t.Context(), rollout.Transition{Service: &svc, Events: []rollout.Event{
			{Kind: rollout.EventService, Service: shop, Message: "it sleeps"},
		}})
		return err == nil // what ends a run may save just now
	}, func() any { return err })
	s.eventually(func() bool { return len(s.all()) == 0 }, func() any { return fmt.Sprint(s.all(), alive(pid), marked(t, s.config.Dir), s.instances()) })
	require.False(t, alive(pid))
	require.Empty(t, marked(t, s.config.Dir))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { s.asks("/") })
	}
	all.Wait()
	require.Empty(t, s.lost)
	require.Equal(t, 20, s.sent)
	require.Len(t, s.all(), 1)
	require.Len(t, marked(t, s.config.Dir), 1)
}
