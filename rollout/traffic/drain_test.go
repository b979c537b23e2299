package traffic_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

func TestADrainWaitsForWhatIsOpenAndKeepsNoConnection(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		var open atomic.Int64
		old := b.Network.Serve(b, &http.Server{
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				time.Sleep(10 * time.Second)
			}),
			ConnState: func(_ net.Conn, s http.ConnState) {
				switch s {
				case http.StateNew:
					open.Add(1)
				case http.StateClosed:
					open.Add(-1)
				}
			},
		})
		b.set(1, map[string][]string{"a": {old}}, 100)
		wait := b.statuses(5)
		upload := make(chan int)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			status, _ := b.ask(func(r *http.Request) { r.Method, r.Body = http.MethodPost, io.NopCloser(ends{forever{ctx}}) })
			upload <- status
		}()
		synctest.Wait()
		require.EqualValues(b, 6, open.Load())
		start := time.Now()
		b.set(2, map[string][]string{"a": {b.named("new")}}, 100)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(b, b.router.Drain(ctx, web, old), context.DeadlineExceeded)
		go func() { require.Equal(b, http.StatusOK, <-upload) }()
		require.NoError(b, b.router.Drain(context.Background(), web, old))
		require.Equal(b, 30*time.Second, time.Since(start), "a slow upload and its answer")
		synctest.Wait()
		require.Zero(b, open.Load())
		require.Equal(b, map[int]int{http.StatusOK: 5}, wait())
		start = time.Now()
		require.NoError(b, b.router.Drain(context.Background(), web, old, "http://unknown"))
		require.NoError(b, b.router.Drain(context.Background(), rollout.ServiceID{Name: "unknown"}, old))
		require.Zero(b, time.Since(start))
	})
}

// ends is a body that ends with its context.
type ends struct{ forever }

func (e ends) Read(p []byte) (int, error) {
	n, err := e.forever.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func TestWhatIsInTheTableIsNotDrained(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		slow := b.serve(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })
		b.set(1, map[string][]string{"a": {slow}}, 100)
		require.ErrorIs(b, b.router.Drain(context.Background(), web, slow), rollout.ErrStale)
		wait := b.statuses(1)
		synctest.Wait()
		b.set(2, nil, 100)
		go func() {
			time.Sleep(time.Second)
			b.set(3, map[string][]string{"a": {slow}}, 100)
		}()
		require.ErrorIs(b, b.router.Drain(context.Background(), web, slow), rollout.ErrStale, "it is back")
		wait()
	})
}

func TestARequestThatHasReadATableIsNotLetInAtWhatHasLeftIt(t *testing.T) {
	t.Parallel()
	r := traffic.New(traffic.Config{})
	endpoint := map[string][]string{"a": {gone}}
	require.NoError(t, r.Set(context.Background(), web, tableOf(1, endpoint, 100)))
	early, late := r.Late(web), r.Late(web)
	require.NotNil(t, early())
	require.NoError(t, r.Set(context.Background(), web, tableOf(2, nil, 100)))
	require.Nil(t, late())
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.Drain(ctx, web, gone), context.DeadlineExceeded, "the early one is open")
}

// TestNoRequestIsPassedOnToWhatHasDrained has requests that have read a table
// just before it is replaced: each is counted, or goes elsewhere.
func TestNoRequestIsPassedOnToWhatHasDrained(t *testing.T) {
	t.Parallel()
	var drained [2]atomic.Bool
	var wrong atomic.Int64
	service := func(i int) string {
		return serve(t, func(http.ResponseWriter, *http.Request) {
			if drained[i].Load() {
				wrong.Add(1)
			}
		})
	}
	endpoints := []string{service(0), service(1)}
	router := traffic.New(traffic.Config{})
	handler := router.Handler(web)
	set := func(generation, i int) {
		drained[i].Store(false)
		require.NoError(t, router.Set(context.Background(), web, tableOf(int64(generation), map[string][]string{"a": {endpoints[i]}}, 100)))
	}
	set(0, 0)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
				if w.Code != http.StatusOK {
					wrong.Add(1)
				}
			}
		})
	}
	for round := range 100 {
		old := round % 2
		set(round+1, 1-old)
		require.NoError(t, router.Drain(context.Background(), web, endpoints[old]))
		drained[old].Store(true)
	}
	close(stop)
	all.Wait()
	require.Zero(t, wrong.Load())
}

func TestAConnectionIsKeptForAFewSeconds(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		made := 0
		service := b.Network.Serve(b, &http.Server{Handler: http.NotFoundHandler(), ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				made++
			}
		}})
		b.set(1, map[string][]string{"a": {service}}, 100)
		for _, pause := range []time.Duration{0, 3 * time.Second, 3 * time.Second, 5 * time.Second} {
			time.Sleep(pause)
			b.ask()
		}
		require.Equal(b, 2, made)
	})
}

// TestADrainKnowsWhatTheLastTableHasLetIn has requests that come while a table is
// replaced: each is let in and waited for, or not let in.
func TestADrainKnowsWhatTheLastTableHasLetIn(t *testing.T) {
	t.Parallel()
	router := traffic.New(traffic.Config{})
	for round := range 300 {
		require.NoError(t, router.Set(context.Background(), web, tableOf(int64(2*round), map[string][]string{"a": {gone}}, 100)))
		var closed, begun atomic.Bool
		var all sync.WaitGroup
		enter := router.Late(web)
		all.Go(func() {
			for leave := enter(); leave != nil; leave = enter() {
				if leave() {
					closed.Store(true)
				}
				begun.Store(true)
			}
		})
		for !begun.Load() {
			runtime.Gosched()
		}
		require.NoError(t, router.Set(context.Background(), web, tableOf(int64(2*round+1), nil, 100)))
		require.NoError(t, router.Drain(context.Background(), web, gone))
		all.Wait()
		require.False(t, closed.Load(), "a request was open where all had drained")
	}
}
