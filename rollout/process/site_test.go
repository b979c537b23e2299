//go:build linux

package process_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// site is a service that a Controller rolls and a Router serves.
type site struct {
	*machine
	c      *rollout.Controller
	url    string
	client *http.Client

	mu     sync.Mutex
	failed []traffic.Served // what the Router has seen fail
	lost   []lost
	sent   int
}

// newSite is one whose Controller runs until the test has ended.
func newSite(t *testing.T) *site {
	dir := t.TempDir()
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &site{machine: open(t, process.Config{Store: db, Dir: filepath.Join(dir, "services"), Logger: slog.New(slog.DiscardHandler)})}
	router := traffic.New(traffic.Config{Observe: func(served traffic.Served) {
		if served.Err == nil && served.Status < 500 {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = append(s.failed, served)
	}})
	s.c, err = rollout.New(rollout.Config{
		Store: db, Deployer: s.d, Router: router, Logger: slog.New(slog.DiscardHandler),
		Strategy: rollout.Strategy{
			Steps: []rollout.Step{{Percent: 50, Hold: 50 * time.Millisecond}}, MinReady: 50 * time.Millisecond, KeepOld: -1,
			Tolerance: rollout.Tolerance{Off: true}, DrainTimeout: 10 * time.Minute,
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
	is := patient("takes time")
	is.Environment["NAME"] = version
	is.MinReplicas, is.MaxReplicas = &replicas, &replicas
	return rollout.Request{Service: shop, Version: version, Spec: is}
}

// share is the percentage of the requests that a version gets.
func (s *site) share(version string) int {
	s.Helper()
	is, err := s.c.Status(s.Context(), shop)
	require.NoError(s, err)
	for _, w := range is.Split.Weights {
		if w.Version == version {
			return w.Percent
		}
	}
	return 0
}

// of is the replica of a version that is ready.
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
