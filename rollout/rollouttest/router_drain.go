package rollouttest

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// later sends a request, which is answered at some time.
func (t *routerTest) later(change ...func(*http.Request)) <-chan string {
	answered := make(chan string, 1)
	go func() {
		_, body, err := t.send(shop, change...)
		if err != nil {
			body = err.Error()
		}
		answered <- body
	}()
	return answered
}

// waiting waits until so many requests do.
func (t *routerTest) waiting(n int) {
	t.Helper()
	require.Eventually(t, func() bool { return t.stats().Waiting == n }, time.Minute, 10*time.Millisecond)
}

func (t *routerTest) held() {
	w := table(1, t.three(), 100)
	w.Held = true
	t.set(w)
	answered := t.later()
	t.waiting(1)
	require.Empty(t, answered)
	w.Held, w.Generation = false, 2
	t.set(w)
	require.Equal(t, "a", <-answered)
	t.waiting(0)
}

func (t *routerTest) waits() {
	services := t.three()
	t.set(table(1, map[string][]string{"b": services["b"]}, 100, 0))
	answered := t.later()
	t.waiting(1)
	t.set(table(2, services, 100, 0))
	require.Equal(t, "a", <-answered)
}

func (t *routerTest) changed() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	services := t.three()
	t.set(table(1, nil, 100))
	changed := t.router.Changed(ctx)
	require.Empty(t, changed)
	answered := t.later()
	t.told(changed)
	t.told(t.router.Changed(ctx)) // who comes later
	t.set(table(2, services, 100))
	require.Equal(t, "a", <-answered)
}

// told requires that who watches receives something soon.
func (t *routerTest) told(changed <-chan struct{}) {
	t.Helper()
	select {
	case _, open := <-changed:
		require.True(t, open)
	case <-time.After(5 * time.Second):
		require.Fail(t, "nothing is received")
	}
}

func (t *routerTest) unwatched() {
	ctx, cancel := context.WithCancel(context.Background())
	changed := t.router.Changed(ctx)
	cancel()
	select {
	case _, open := <-changed:
		require.False(t, open)
	case <-time.After(5 * time.Second):
		require.Fail(t, "it is not closed")
	}
}

// gated starts an endpoint that answers once it may.
func (t *routerTest) gated(s *http.Server) (url string, asked, may chan struct{}) {
	asked, may = make(chan struct{}, 10), make(chan struct{})
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-may:
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	return t.h.Endpoint(t, s), asked, may
}

func (t *routerTest) drains() {
	old, asked, may := t.gated(&http.Server{})
	t.set(table(1, map[string][]string{"a": {old}}, 100, 0))
	answered := t.later()
	<-asked
	t.set(table(2, map[string][]string{"b": {t.named("b")}}, 0, 100))
	ended := make(chan error, 1)
	go func() { ended <- t.router.Drain(context.Background(), shop, old) }()
	require.Equal(t, map[string]int{"b": 10}, t.asked(10))
	select {
	case err := <-ended:
		require.Fail(t, "a request is open", "%v", err)
	case <-time.After(time.Second):
	}
	close(may)
	require.NoError(t, <-ended)
	require.Equal(t, "done", <-answered)
	require.NoError(t, t.router.Drain(context.Background(), shop, old, "http://unknown"))
}

func (t *routerTest) drainEnds() {
	old, asked, may := t.gated(&http.Server{})
	t.set(table(1, map[string][]string{"a": {old}}, 100))
	answered := t.later()
	<-asked
	t.set(table(2, nil, 100))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	start := time.Now()
	require.ErrorIs(t, t.router.Drain(ctx, shop, old), context.DeadlineExceeded)
	require.Less(t, time.Since(start), 5*time.Second)
	close(may)
	require.Equal(t, "done", <-answered)
}

func (t *routerTest) connections() {
	var open atomic.Int64
	old := t.h.Endpoint(t, &http.Server{Handler: http.NotFoundHandler(), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}})
	t.set(table(1, map[string][]string{"a": {old}}, 100))
	_, _, err := t.send(shop)
	require.NoError(t, err)
	t.set(table(2, nil, 100))
	require.NoError(t, t.router.Drain(context.Background(), shop, old))
	start := time.Now()
	require.Eventually(t, func() bool { return open.Load() == 0 }, time.Minute, time.Millisecond)
	require.Less(t, time.Since(start), time.Second)
}

func (t *routerTest) drainStale() {
	services := t.three()
	t.set(table(1, services, 50, 50))
	require.ErrorIs(t, t.router.Drain(context.Background(), shop, services["b"]...), rollout.ErrStale)
	require.Equal(t, map[string]int{"a": 50, "b": 50}, t.asked(100))
}

func (t *routerTest) common() {
	both := t.named("both")
	t.set(table(1, map[string][]string{"a": {both}}, 100, 0))
	require.Equal(t, map[string]int{"both": 10}, t.asked(10))
	t.set(table(2, map[string][]string{"a": {both}, "b": {both, t.named("b")}}, 50, 50))
	before := t.stats().Revisions
	require.Equal(t, map[string]int{"both": 75, "b": 25}, t.asked(100))
	after := t.stats().Revisions
	require.EqualValues(t, 50, after["b"].Requests-before["b"].Requests, "each is counted by its revision")
	t.set(table(3, map[string][]string{"b": {both}}, 0, 100))
	require.ErrorIs(t, t.router.Drain(context.Background(), shop, both), rollout.ErrStale)
	require.Equal(t, map[string]int{"both": 10}, t.asked(10))
	t.set(table(4, nil, 0, 100))
	require.NoError(t, t.router.Drain(context.Background(), shop, both))
}

func (t *routerTest) counts() {
	answering := t.answering(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/error":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/slow":
			<-r.Context().Done()
		case "/missing":
			http.NotFound(w, r)
		}
	})
	t.set(table(1, map[string][]string{"a": {answering}}, 100, 0))
	before := t.stats().Revisions["a"]
	to := func(path string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = path } }
	for _, path := range []string{"/", "/error", "/cut", "/missing"} {
		_, _, err := t.send(shop, to(path))
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _, err := t.send(shop, to("/slow"), func(r *http.Request) { *r = *r.WithContext(ctx) })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	type sum struct{ requests, errors, cancelled, latency int64 }
	var got sum
	require.Eventually(t, func() bool {
		after := t.stats().Revisions["a"]
		got = sum{after.Requests - before.Requests, after.Errors - before.Errors, after.Cancelled - before.Cancelled, 0}
		for i, b := range after.Latency {
			got.latency += b.Count
			require.True(t, i == 0 || b.Within > after.Latency[i-1].Within, "the buckets are in order")
		}
		return got.cancelled > 0
	}, time.Minute, 10*time.Millisecond, "%v", &got)
	require.Equal(t, sum{4, 2, 1, 3}, got)
	require.Zero(t, t.stats().Revisions["b"].Requests)
}

func (t *routerTest) open() {
	old, asked, may := t.gated(&http.Server{})
	t.set(table(1, map[string][]string{"a": {old}}, 100))
	require.Zero(t, t.stats().Open)
	first, second := t.later(), t.later()
	<-asked
	<-asked
	require.Equal(t, 2, t.stats().Open)
	t.set(table(2, nil, 100))
	require.Equal(t, 2, t.stats().Open, "though it is in no table any more")
	close(may)
	require.Equal(t, "done", <-first)
	require.Equal(t, "done", <-second)
	require.Eventually(t, func() bool { return t.stats().Open == 0 }, time.Minute, 10*time.Millisecond)
}

func (t *routerTest) lossless() {
	services := t.three()
	t.set(table(0, services, 100, 0))
	stop := make(chan struct{})
	var all sync.WaitGroup
	var lost atomic.Int64
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if reply, _, err := t.send(shop); err != nil || reply.StatusCode != http.StatusOK {
					lost.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for i := range 60 {
		old, now := "a", "b"
		percents := []int{0, 100}
		if i%2 == 1 {
			old, now, percents = "b", "a", []int{100, 0}
		}
		t.set(table(int64(i+1), map[string][]string{now: services[now]}, percents...))
		if err := t.router.Drain(context.Background(), shop, services[old]...); err != nil {
			lost.Add(1)
		}
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	all.Wait()
	require.Zero(t, lost.Load())
	asked := t.stats()
	require.Positive(t, asked.Revisions["a"].Requests)
	require.Positive(t, asked.Revisions["b"].Requests)
}
