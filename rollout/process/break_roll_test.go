//go:build linux

package process_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func init() { roles["takes time"] = takesTime }

// takesTime is a service of which some requests last as long as they say.
func takesTime() error {
	mux := http.NewServeMux()
	mux.Handle("/", service())
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		fmt.Fprint(w, "slow")
	})
	return serve(mux, time.Minute, process.Listener)
}

// site is a service that a Controller rolls and a Router serves.
type site struct {
	*machine
	c      *rollout.Controller
	url    string
	client *http.Client

	mu     sync.Mutex
	failed []rollout.RevisionID // what the Router has seen fail
	at     []string
	lost   []lost
	sent   int
}

// lost is a request without an answer.
type lost struct {
	path  string
	begun time.Time
	why   string
}

func (l lost) String() string { return l.path + " " + l.begun.Format("05.000") + " " + l.why }

func newSite(t *testing.T) *site {
	dir := t.TempDir()
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &site{machine: breakable(t, process.Config{Store: db, Dir: filepath.Join(dir, "services"), Logger: slog.New(slog.DiscardHandler)})}
	router := traffic.New(traffic.Config{Observe: func(served traffic.Served) {
		if served.Err == nil && served.Status < 500 {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = append(s.failed, served.Revision)
		s.at = append(s.at, served.Endpoint)
	}})
	s.c, err = rollout.New(rollout.Config{
		Store: db, Deployer: s.d, Router: router, Logger: slog.New(slog.DiscardHandler), LockTTL: 5 * time.Second,
		Strategy: rollout.Strategy{
			Steps: []rollout.Step{{Percent: 50, Hold: 50 * time.Millisecond}}, MinReady: 50 * time.Millisecond, KeepOld: -1,
			Tolerance: rollout.Tolerance{Off: true},
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = s.c.Run(ctx)
	}()
	server := httptest.NewServer(router.Handler(shop))
	s.url, s.client = server.URL, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
	t.Cleanup(func() {
		server.Close()
		cancel()
		<-over
		require.NoError(t, s.c.Close())
	})
	return s
}

func (s *site) request(version string, replicas int) rollout.Request {
	is := spec("takes time")
	is.Environment["NAME"] = version
	is.MinReplicas, is.MaxReplicas = &replicas, &replicas
	return rollout.Request{Service: shop, Version: version, Spec: is}
}

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

// load asks 200 times a second until the returned function is called, which waits
// for the answers.
func (s *site) load() (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			<-tick.C
			path := "/"
			if n%20 == 0 {
				path = "/slow?ms=100"
			}
			all.Go(func() { s.asks(path) })
		}
	})
	return func() { cancel(); all.Wait() }
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
	for i, at := range s.at {
		require.Equal(s, endpoint, at, s.failed[i])
	}
	s.TB.Logf("%d requests, %d of them lost in flight", s.sent, len(s.lost))
}

// of is the replica of a version.
func (s *site) of(version string) (r rollout.Replica) {
	s.Helper()
	s.eventually(func() bool {
		for _, one := range s.all() {
			if one.Revision.Version == version && ready(one) {
				r = one
				return true
			}
		}
		return false
	}, func() any { return s.all() })
	return r
}

func TestAnEndpointThatIsKilledLosesOnlyWhatItHad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.c.Roll(t.Context(), s.request("v1", 3))
	require.NoError(t, err)
	over := s.load()
	time.Sleep(300 * time.Millisecond)
	r := s.of("v1")
	pid := s.pid(r)
	slain(t, pid)
	killed := time.Now()
	s.eventually(func() bool { _, well := s.restarts(); return well == 3 }, func() any { return s.all() })
	time.Sleep(300 * time.Millisecond)
	over()
	s.onlyAt(r.Endpoint, killed)
	restarts, _ := s.restarts()
	require.Equal(t, 1, restarts)
}

func TestAProcessThatIsKilledInMidDrain(t *testing.T) {
	t.Parallel()
	for victim, drains := range map[string]time.Duration{"v1": 9 * time.Second, "v2": 5 * time.Second} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, err := s.c.Roll(t.Context(), s.request("v1", 1))
			require.NoError(t, err)
			old := s.of("v1")
			open := make(chan struct{})
			began := time.Now()
			go func() {
				defer close(open)
				s.asks(fmt.Sprint("/slow?ms=", drains.Milliseconds())) // which the old one drains for
			}()
			time.Sleep(100 * time.Millisecond) // it is there
			over := s.load()
			ended := make(chan error, 1)
			var run rollout.Run
			go func() {
				var err error
				run, err = s.c.Roll(t.Context(), s.request("v2", 1))
				ended <- err
			}()
			s.eventually(func() bool {
				st, err := s.c.Status(t.Context(), shop)
				require.NoError(t, err)
				for _, w := range st.Split.Weights {
					if w.Version == "v2" && w.Percent == 100 {
						return true
					}
				}
				return false
			}, func() any { return s.all() })
			if time.Since(began) > drains-time.Second {
				over()
				<-ended
				t.Skip("the machine is too slow: the old one has drained")
			}
			r := s.of(victim)
			if victim == "v1" {
				require.Equal(t, old.ID, r.ID)
			}
			slain(t, s.pid(r))
			killed := time.Now()
			require.NoError(t, <-ended)
			<-open
			time.Sleep(200 * time.Millisecond)
			over()
			s.onlyAt(r.Endpoint, killed)
			require.Equal(t, rollout.StateSucceeded, run.State)
			s.eventually(func() bool {
				all := s.all()
				return len(all) == 1 && all[0].Revision.Version == "v2" && ready(all[0])
			}, func() any { return s.all() })
			require.Len(t, marked(t, s.config.Dir), 1)
		})
	}
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
