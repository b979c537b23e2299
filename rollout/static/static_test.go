package static_test

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
)

var v1 = rollout.RevisionID{Service: rollout.ServiceID{Name: "web"}, Version: "v1", Run: "one"}

// answers runs f with a Deployer that uses one address, whose server answers so.
func answers(t *testing.T, answer http.HandlerFunc, h rollout.Health, f func(t *testing.T, d *static.Deployer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		d := static.New(static.Config{Transport: network.Transport(t)})
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		address := network.Serve(t, &http.Server{Handler: answer})
		require.NoError(t, d.Ensure(t.Context(), v1, rollout.Spec{Addresses: []string{address + "/base/"}, Health: &h}, 1))
		synctest.Wait()
		f(t, d)
	})
}

// only is the replica there is.
func only(t *testing.T, d *static.Deployer) rollout.Replica {
	t.Helper()
	all, err := d.Observe(t.Context(), v1.Service)
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestAnAnswerMakesAReplicaReadyAndABadOneIsQuoted(t *testing.T) {
	says := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/moved" {
				return
			}
			http.Redirect(w, r, where, http.StatusMovedPermanently)
		}
	}
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		health  rollout.Health
		failure string
	}{
		{"anything below 500", says(404, ""), rollout.Health{}, ""},
		{"500", says(500, "no\n database"), rollout.Health{}, "GET /: 500 Internal Server Error: no database"},
		{"the status that is wanted", says(503, ""), rollout.Health{Status: 503}, ""},
		{"another status", says(200, "hello"), rollout.Health{Status: 204, Path: "/up?deep=1"}, "GET /up: 200 OK: hello"},
		{"a redirect of the host", to("/moved"), rollout.Health{Status: 200}, ""},
		{"a redirect elsewhere", to("https://shop.example/up?secret=1"), rollout.Health{Status: 200, Path: "/up"},
			"GET /up: 301 Moved Permanently → https://shop.example/up"},
		{"a redirect that is wanted", to("/moved"), rollout.Health{Status: 301}, ""},
		{"nonsense", func(w http.ResponseWriter, _ *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(c, "HTTP/1.1 abc\r\n\r\n")
			_ = c.Close()
		}, rollout.Health{}, "GET /: net/http: HTTP/1.x transport connection broken: malformed HTTP status code \"abc\""},
		{"a connection is no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			rollout.Health{Timeout: 2 * time.Second}, "GET /: no answer within 2s"},
		{"but it is enough for TCP", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, rollout.Health{TCP: true}, ""},
		{"host and headers", func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "shop.example" || r.Header.Get("X-Forwarded-Proto") != "https" || r.URL.Path != "/base/up" {
				w.WriteHeader(500)
			}
		}, rollout.Health{Path: "/up", Host: "shop.example", Headers: map[string]string{"X-Forwarded-Proto": "https"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answers(t, tt.answer, tt.health, func(t *testing.T, d *static.Deployer) {
				time.Sleep(2500 * time.Millisecond)
				synctest.Wait()
				r := only(t, d)
				require.Equal(t, tt.failure, r.Failure)
				require.Equal(t, tt.failure == "", r.State == rollout.ReplicaReady)
			})
		})
	}
}

func TestAReplicaThatWasReadyFailsAndComesBack(t *testing.T) {
	var sick atomic.Bool
	answers(t, func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}, rollout.Health{Delay: time.Minute, Interval: 5 * time.Second}, func(t *testing.T, d *static.Deployer) {
		states := func(after time.Duration) rollout.ReplicaState {
			time.Sleep(after)
			synctest.Wait()
			return only(t, d).State
		}
		require.Equal(t, rollout.ReplicaStarting, states(time.Minute-1))
		require.Equal(t, rollout.ReplicaReady, states(1))
		sick.Store(true)
		require.Equal(t, rollout.ReplicaReady, states(5*time.Second-1))
		require.Equal(t, rollout.ReplicaFailing, states(1))
		sick.Store(false)
		require.Equal(t, rollout.ReplicaReady, states(5*time.Second))
		require.Empty(t, only(t, d).Failure)
	})
}

func TestWhatRunsElsewhereIsCheckedAndOfOneService(t *testing.T) {
	d := static.New(static.Config{})
	ctx, logs := t.Context(), "web.log"
	for _, s := range []rollout.Spec{
		{Command: []string{"web"}}, {Image: &rollout.Image{URL: "x"}}, {Addresses: []string{"127.0.0.1:1"}},
		{Addresses: []string{"http://127.0.0.1:1", "http://127.0.0.1:1/"}},
		{Addresses: []string{"http://127.0.0.1:1"}, MaxReplicas: new(2)}, {},
	} {
		_, err := d.Check(ctx, v1, s)
		require.True(t, errors.Is(err, rollout.ErrInvalid) || errors.Is(err, errors.ErrUnsupported), s)
		require.Error(t, d.Ensure(ctx, v1, s, 1))
	}
	_, err := d.Check(ctx, v1, rollout.Spec{Addresses: []string{"http://127.0.0.1:1", "https://127.0.0.1"}})
	require.EqualError(t, err, "static: rollout: invalid request: Addresses[1] is https, which is not spoken to services")
	notEnforced, err := d.Check(ctx, v1, rollout.Spec{
		Addresses: []string{"http://127.0.0.1:1"}, Environment: map[string]string{"A": "1"}, Port: new(1), CPU: new(1.0),
		Memory: new(int64(1)), Logs: &logs, Volumes: []rollout.Volume{{}}, Scaling: []rollout.Scaling{{}},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"Environment", "Port", "CPU", "Memory", "Volumes", "Logs", "Scaling"}, notEnforced)

	s := rollout.Spec{Addresses: []string{"http://127.0.0.1:1"}, Health: &rollout.Health{Delay: time.Hour}}
	require.NoError(t, d.Ensure(ctx, v1, s, 1))
	v2, shop := v1, v1
	v2.Run, shop.Service.Name = "two", "shop"
	require.ErrorIs(t, d.Ensure(ctx, shop, s, 1), rollout.ErrInvalid, "it is in use")
	require.ErrorIs(t, d.Ensure(ctx, v1, s, 2), rollout.ErrInvalid, "there is one")
	first := only(t, d).ID
	require.NoError(t, d.Ensure(ctx, v2, s, 1))
	require.NoError(t, d.Stop(ctx, v1, []string{first}, 0))
	require.Equal(t, v2, only(t, d).Revision)
	require.NoError(t, d.Stop(ctx, v2, []string{only(t, d).ID}, 0))
	require.NoError(t, d.Ensure(ctx, shop, s, 1))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	require.ErrorIs(t, d.Ensure(ctx, v1, s, 1), rollout.ErrClosed)
}
