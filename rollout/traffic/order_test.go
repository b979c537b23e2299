package traffic_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

func TestTheFirstWhoWaitsIsTheFirstWhoIsServed(t *testing.T) {
	inBubble(t, traffic.Config{MaxConcurrent: 1}, func(b *bubble) {
		var mu sync.Mutex
		var order []string
		of := func(name string) string {
			return b.serve(func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				order = append(order, r.URL.Path)
				mu.Unlock()
				time.Sleep(time.Second)
			})
		}
		ask := func(i int) {
			status, _ := b.ask(func(r *http.Request) { r.URL.Path = "/" + strconv.Itoa(i) })
			require.Equal(b, http.StatusOK, status)
		}
		var all sync.WaitGroup
		var want []string
		for i := range 20 {
			if i == 10 { // half of them have waited from the beginning
				b.set(1, map[string][]string{"a": {of("a")}}, 100)
			}
			all.Go(func() { ask(i) })
			synctest.Wait()
			want = append(want, "/"+strconv.Itoa(i))
		}
		all.Wait()
		require.Equal(b, want, order)
	})
}

// TestWhoComesPassesNobodyWhoWaits has a request come just when another has left
// and nobody who waits has been placed yet.
func TestWhoComesPassesNobodyWhoWaits(t *testing.T) {
	t.Parallel()
	router := traffic.New(traffic.Config{MaxConcurrent: 1})
	require.NoError(t, router.Set(context.Background(), web, tableOf(1, map[string][]string{"a": {gone}, "b": {"http://10.1.1.2"}}, 100, 0)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	first, second, third := router.Chooser(web), router.Chooser(web), router.Chooser(web)
	require.NoError(t, first.Enter(request))
	waited, came := make(chan error, 1), make(chan error, 1)
	go func() { waited <- second.Enter(request) }()
	waits := func(n int) func() bool {
		return func() bool { s, err := router.Stats(ctx, web); return err == nil && s.Waiting == n }
	}
	require.Eventually(t, waits(1), patience, time.Millisecond)
	first.Leave(func() {
		go func() { came <- third.Enter(request) }()
		for range 1000 {
			runtime.Gosched() // it would have been placed
		}
	})
	require.NoError(t, <-waited)
	require.Eventually(t, waits(1), patience, time.Millisecond)
	require.Empty(t, came)
	second.Leave(func() {})
	require.NoError(t, <-came)
}

func TestRequestsOfAllServicesThatWaitAreLimitedToo(t *testing.T) {
	inBubble(t, traffic.Config{Queue: 3, QueueTotal: 5}, func(b *bubble) {
		status := func(s rollout.ServiceID, ctx context.Context) (code func() int) {
			w, done := httptest.NewRecorder(), make(chan struct{})
			go func() {
				defer close(done)
				b.router.Handler(s).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
			}()
			synctest.Wait()
			return func() int { <-done; return w.Code }
		}
		one, two := rollout.ServiceID{Name: "one"}, rollout.ServiceID{Name: "two"}
		start := time.Now()
		ctx, leave := context.WithCancel(b.Context())
		defer leave()
		_, waiting := status(one, ctx), []func() int{status(one, b.Context()), status(one, b.Context())}
		require.Equal(b, http.StatusServiceUnavailable, status(one, b.Context())(), "more than of a service")
		waiting = append(waiting, status(two, b.Context()), status(two, b.Context()))
		require.Equal(b, http.StatusServiceUnavailable, status(two, b.Context())(), "more than of all")
		require.Zero(b, time.Since(start))
		leave()
		synctest.Wait()
		waiting = append(waiting, status(two, b.Context()))
		require.Equal(b, http.StatusServiceUnavailable, status(one, b.Context())(), "somebody has left, in whose place another waits")
		require.NoError(b, b.router.Set(b.Context(), one, tableOf(1, map[string][]string{"a": {b.named("a")}}, 100)))
		require.NoError(b, b.router.Set(b.Context(), two, tableOf(1, map[string][]string{"a": {b.named("a")}}, 100)))
		for _, code := range waiting {
			require.Equal(b, http.StatusOK, code())
		}
		require.Zero(b, time.Since(start))
		for _, s := range []rollout.ServiceID{one, two} {
			require.NoError(b, b.router.Set(b.Context(), s, tableOf(2, nil)))
		}
	})
}

func TestAFullQueueIsNoObstacleForWhatIsReady(t *testing.T) {
	inBubble(t, traffic.Config{Queue: 2}, func(b *bubble) {
		services := b.three()
		b.set(1, map[string][]string{"a": services["a"]}, 50, 50)
		wait := b.statuses(4)
		synctest.Wait()
		require.Equal(b, 2, b.waiting())
		more := b.statuses(10)()
		require.Equal(b, map[int]int{http.StatusOK: 5, http.StatusServiceUnavailable: 5}, more)
		b.set(2, services, 50, 50)
		require.Equal(b, map[int]int{http.StatusOK: 4}, wait())
	})
}

// TestNothingOfABodyIsReadWhileARequestWaits has clients that wait to be told to
// go on.
func TestNothingOfABodyIsReadWhileARequestWaits(t *testing.T) {
	inBubble(t, traffic.Config{QueueTime: 10 * time.Second}, func(b *bubble) {
		const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
		c, r := b.dial(head)
		told := make(chan time.Duration)
		start := time.Now()
		go func() {
			_, _ = r.Peek(1)
			told <- time.Since(start)
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(b, 1, b.waiting())
		b.set(1, map[string][]string{"a": {b.echoes("a")}}, 100)
		require.Equal(b, 5*time.Second, <-told)
		reply, err := http.ReadResponse(r, nil)
		require.NoError(b, err)
		require.Equal(b, http.StatusContinue, reply.StatusCode)
		_, err = io.WriteString(c, "body")
		require.NoError(b, err)
		require.Equal(b, "a body", b.read(r))

		b.set(2, nil, 100)
		_, r = b.dial(head) // and if it waits in vain, it is never told to go on
		reply, err = http.ReadResponse(r, nil)
		require.NoError(b, err)
		require.Equal(b, http.StatusServiceUnavailable, reply.StatusCode)
		require.NotEmpty(b, reply.Header.Get("Retry-After"))
		require.Equal(b, 15*time.Second, time.Since(start))
	})
}

// read returns the body of the next reply that is one.
func (b *bubble) read(r *bufio.Reader) string {
	b.Helper()
	reply, err := http.ReadResponse(r, nil)
	for err == nil && reply.StatusCode == http.StatusContinue {
		reply, err = http.ReadResponse(r, nil)
	}
	require.NoError(b, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(b, err)
	return string(body)
}
