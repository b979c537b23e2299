package static_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// front is a service behind a router, rolled by a Controller that runs.
type front struct {
	*testing.T
	c      *rollout.Controller
	router *traffic.Router
	url    string
	client *http.Transport
}

// serving returns a front on a network in memory, until the bubble ends.
func serving(t *testing.T, network *wiretest.Network) *front {
	f := &front{T: t, client: network.Transport(t), router: traffic.New(traffic.Config{Transport: network.Transport(t)})}
	addresses := static.New(static.Config{Transport: network.Transport(t)})
	t.Cleanup(func() { require.NoError(t, addresses.Close()) })
	c, err := rollout.New(rollout.Config{
		Store: memory.New(), Deployer: addresses, Router: f.router, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	f.c = c
	f.url = network.Serve(t, &http.Server{Handler: f.router.Handler(v1.Service)})
	ran := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ran <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ran, context.Canceled)
		require.NoError(t, c.Shutdown(context.Background()))
		require.NoError(t, f.router.Set(context.Background(), v1.Service, rollout.Table{Generation: 1 << 40})) // closes what is kept
		time.Sleep(time.Second)                                                                                // in which servers let clients read a last reply
	})
	return f
}

// asks sends a request each second, until it is told to stop: then it
// returns how many each answer came.
func (f *front) asks() (stop func() map[string]int) {
	end, done, got := make(chan struct{}), make(chan struct{}), map[string]int{}
	go func() {
		defer close(done)
		for {
			got[f.ask()]++
			select {
			case <-end:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() map[string]int {
		close(end)
		<-done
		return got
	}
}

func (f *front) ask() string {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url, nil)
	if err != nil {
		return err.Error()
	}
	reply, err := f.client.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		return fmt.Sprint(reply.Status, " ", err)
	}
	return string(text)
}

// roll rolls, and returns the run, which must succeed.
func (f *front) roll(r rollout.Request) rollout.Run {
	f.Helper()
	r.Service = v1.Service
	_, err := f.c.Plan(f.Context(), r)
	require.NoError(f, err)
	run, err := f.c.Roll(f.Context(), r)
	require.NoError(f, err)
	for i, s := range run.States {
		if s.State == rollout.StateDraining {
			require.Less(f, run.States[i+1].StartedAt.Sub(s.StartedAt), 5*time.Second, "what serves on is not waited for")
		}
	}
	return run
}

func named(t *testing.T, network *wiretest.Network, name string) string {
	return network.Serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, name)
	})})
}

func TestAddressesThatRevisionsHaveInCommonPassOver(t *testing.T) {
	content := func(addresses ...string) rollout.Spec { return rollout.Spec{Addresses: addresses} }
	for _, tt := range []struct {
		name string
		next func(a, b string, first rollout.Run) []rollout.Request
		ends []string // who answers in the end
	}{
		{"one more address", func(a, b string, _ rollout.Run) []rollout.Request {
			return []rollout.Request{{Spec: content(a, b)}}
		}, []string{"a", "b"}},
		{"one more before those there are, as a version of its own", func(a, b string, _ rollout.Run) []rollout.Request {
			return []rollout.Request{{Version: "v2", Spec: content(b, a+"/")}}
		}, []string{"a", "b"}},
		{"one address less", func(a, b string, _ rollout.Run) []rollout.Request {
			return []rollout.Request{{Spec: content(a, b)}, {Spec: content(b)}}
		}, []string{"b"}},
		{"the same again", func(string, string, rollout.Run) []rollout.Request {
			return []rollout.Request{{Restart: true}, {Restart: true}}
		}, []string{"a"}},
		{"without a surge, and nothing kept", func(a, b string, _ rollout.Run) []rollout.Request {
			s := &rollout.Strategy{Unavailable: 1, KeepOld: -1}
			return []rollout.Request{{Spec: content(a, b), Strategy: s}, {Spec: content(b, a), Restart: true, Strategy: s}}
		}, []string{"a", "b"}},
		{"back by Roll", func(a, b string, _ rollout.Run) []rollout.Request {
			return []rollout.Request{{Version: "v2", Spec: content(b)}, {Version: "v3", Spec: content(a)}}
		}, []string{"a"}},
		{"back to a snapshot", func(a, b string, first rollout.Run) []rollout.Request {
			return []rollout.Request{{Version: "v2", Spec: content(b)}, {Snapshot: first.ID}}
		}, []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network wiretest.Network
				a, b := named(t, &network, "a"), named(t, &network, "b")
				f := serving(t, &network)
				first := f.roll(rollout.Request{Version: "v1", Spec: content(a)})
				stop := f.asks()
				for _, r := range tt.next(a, b, first) {
					f.roll(r)
				}
				time.Sleep(11 * time.Minute) // what is kept is gone
				got := stop()
				delete(got, "a")
				delete(got, "b")
				require.Empty(t, got, "nothing is lost")
				for range 10 {
					require.Contains(t, tt.ends, f.ask())
				}
				st, err := f.c.Status(t.Context(), v1.Service)
				require.NoError(t, err)
				require.Len(t, st.Replicas, len(tt.ends), "nothing else is in use")
			})
		})
	}
}

func TestAnAddressOutlivesTheRollThatFailsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		a := named(t, &network, "a")
		f := serving(t, &network)
		f.roll(rollout.Request{Version: "v1", Spec: rollout.Spec{Addresses: []string{a}}})
		stop := f.asks()
		run, err := f.c.Roll(t.Context(), rollout.Request{
			Service: v1.Service, Version: "v2", Spec: rollout.Spec{Addresses: []string{a, "http://10.9.9.9:80"}},
		})
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Contains(t, run.Reason, "1 of 2 replicas are ready")
		time.Sleep(time.Minute)
		require.Len(t, stop(), 1, "a has answered every request")
		st, err := f.c.Status(t.Context(), v1.Service)
		require.NoError(t, err)
		require.Len(t, st.Replicas, 1)
		require.Equal(t, "v1 100", st.Split.String())
	})
}

func TestAnAddressStaysWhileOneRevisionOfTwoHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		asked, may := make(chan struct{}), make(chan struct{})
		a := network.Serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Slow") != "" {
				close(asked)
				<-may
			}
			_, _ = io.WriteString(w, "a")
		})})
		f := serving(t, &network)
		f.roll(rollout.Request{Version: "v1", Spec: rollout.Spec{Addresses: []string{a}}})
		answered := make(chan string, 1)
		go func() {
			r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url, nil)
			r.Header.Set("X-Slow", "1")
			reply, err := f.client.RoundTrip(r)
			if err != nil {
				answered <- err.Error()
				return
			}
			text, _ := io.ReadAll(reply.Body)
			_ = reply.Body.Close()
			answered <- string(text)
		}()
		<-asked
		stop := f.asks()
		f.roll(rollout.Request{Version: "v2", Spec: rollout.Spec{Addresses: []string{a}}, Restart: true, Strategy: &rollout.Strategy{KeepOld: -1}})
		time.Sleep(time.Minute)
		require.Len(t, stop(), 1)
		st, err := f.c.Status(t.Context(), v1.Service)
		require.NoError(t, err)
		require.Len(t, st.Replicas, 1, "that of v1 has gone, and its request goes on")
		close(may)
		require.Equal(t, "a", <-answered)
	})
}

func TestAnAddressIsRefusedToAnotherService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		a := named(t, &network, "a")
		f := serving(t, &network)
		f.roll(rollout.Request{Version: "v1", Spec: rollout.Spec{Addresses: []string{a}}})
		other := rollout.Request{Service: rollout.ServiceID{Name: "shop"}, Version: "v1", Spec: rollout.Spec{Addresses: []string{a}}}
		_, err := f.c.Plan(t.Context(), other)
		require.ErrorIs(t, err, rollout.ErrInvalid)
		require.ErrorContains(t, err, `"`+a+`" is in use by web v1 `)
		require.ErrorContains(t, err, "remove it there")
		_, err = f.c.Start(t.Context(), other)
		require.ErrorIs(t, err, rollout.ErrInvalid)
	})
}

// TestOneMoreAddressOfRealServers does on loopback what the others do in memory.
func TestOneMoreAddressOfRealServers(t *testing.T) {
	answer := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	a, b := answer("a"), answer("b")
	addresses, router := static.New(static.Config{}), traffic.New(traffic.Config{})
	c, err := rollout.New(rollout.Config{
		Store: memory.New(), Deployer: addresses, Router: router, Logger: slog.New(slog.DiscardHandler),
		Strategy: rollout.Strategy{MinReady: time.Millisecond, Tolerance: rollout.Tolerance{Off: true}, Steps: []rollout.Step{
			{Percent: 50, Hold: -1}, {Percent: 100, Hold: -1},
		}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, addresses.Close())
	})
	got := map[string]bool{}
	for i, urls := range [][]string{{a}, {a, b}, {a}, {b, a}} {
		run, err := c.Roll(t.Context(), rollout.Request{
			Service: v1.Service, Version: fmt.Sprintf("v%d", i), Spec: rollout.Spec{Addresses: urls},
		})
		require.NoError(t, err)
		require.Equal(t, rollout.StateSucceeded, run.State)
		for range 4 {
			w := httptest.NewRecorder()
			router.Handler(v1.Service).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			require.Equal(t, http.StatusOK, w.Code)
			got[fmt.Sprintf("%d%s", i, w.Body)] = true
		}
	}
	require.Equal(t, map[string]bool{"0a": true, "1a": true, "1b": true, "2a": true, "3a": true, "3b": true}, got)
}
