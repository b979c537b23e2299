package traffic_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// ends has an application in front of the router that ends requests in its own
// way.
func (b *bubble) ends(wrap func(router http.Handler) http.Handler) {
	b.url = b.Network.Serve(b, &http.Server{Handler: wrap(b.router.Handler(web))})
}

// within ends requests a second after they came.
func within(end func(context.Context) (context.Context, context.CancelFunc)) func(http.Handler) http.Handler {
	return func(router http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := end(r.Context())
			defer cancel()
			router.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

func deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Second)
}

func cause(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(time.Second, func() { cancel(errors.New("the program ends")) })
	return ctx, func() { timer.Stop(); cancel(nil) }
}

func cancels(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(time.Second, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}

func timeoutHandler(router http.Handler) http.Handler {
	return http.TimeoutHandler(router, time.Second, "too late")
}

func TestAServiceThatHangsUntilTheApplicationsDeadlineHasFailed(t *testing.T) {
	for _, tt := range []struct {
		name string
		wrap func(http.Handler) http.Handler
		want int
	}{
		{"of http.TimeoutHandler", timeoutHandler, http.StatusServiceUnavailable},
		{"of a context", within(deadline), http.StatusBadGateway},
		{"that is a cause", within(cause), http.StatusBadGateway},
	} {
		for _, path := range []string{"/headers", "/body"} {
			t.Run(tt.name+path, func(t *testing.T) {
				inBubble(t, traffic.Config{}, func(b *bubble) {
					hangs := b.serve(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/body" {
							_, _ = io.WriteString(w, "begun")
							_ = http.NewResponseController(w).Flush()
						}
						<-r.Context().Done()
					})
					b.set(1, map[string][]string{"a": {hangs, b.named("well")}}, 100)
					b.ends(tt.wrap)
					var all sync.WaitGroup
					var mu sync.Mutex
					got := map[int]int{}
					for range 50 {
						all.Go(func() {
							r := b.request()
							r.URL.Path = path
							reply, err := b.client.RoundTrip(r)
							if err != nil {
								return // in mid-body
							}
							_, _ = io.Copy(io.Discard, reply.Body)
							_ = reply.Body.Close()
							mu.Lock()
							defer mu.Unlock()
							got[reply.StatusCode]++
						})
					}
					all.Wait()
					if path == "/headers" {
						require.Equal(b, map[int]int{http.StatusOK: 25, tt.want: 25}, got)
					}
					require.Equal(b, rollout.Counts{Requests: 50, Errors: 25}, b.counts())
					require.Equal(b, map[string]int{"well": 20}, b.asked(20), "the other is left out")
				})
			})
		}
	}
}

func TestAClientThatLeavesBeforeTheApplicationsDeadlineIsNoError(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"of http.TimeoutHandler": timeoutHandler, "of a context": within(deadline), "that is a cause": within(cause),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				b.set(1, map[string][]string{"a": {b.serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}}, 100)
				b.ends(wrap)
				for range 5 {
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
					_, err := b.client.RoundTrip(b.request().WithContext(ctx))
					cancel()
					require.ErrorIs(b, err, context.DeadlineExceeded)
				}
				require.Equal(b, rollout.Counts{Cancelled: 5}, b.counts())
			})
		})
	}
}

func TestObserveIsToldWhyAReplyIsNotWhole(t *testing.T) {
	var served []error
	inBubble(t, traffic.Config{Observe: func(s traffic.Served) { served = append(served, s.Err) }}, func(b *bubble) {
		long := b.serve(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<10))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		})
		b.set(1, map[string][]string{"a": {long}}, 100)
		b.ends(timeoutHandler) // which takes nothing more once it is over
		status, _ := b.ask()
		require.Equal(b, http.StatusServiceUnavailable, status)
		synctest.Wait()
		require.Len(b, served, 1)
		require.ErrorIs(b, served[0], context.DeadlineExceeded)
		require.Equal(b, rollout.Counts{Requests: 1, Errors: 1}, b.counts())
	})
}

func TestWhatTheApplicationEndsWhileItWaitsIsUnavailable(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"by a deadline": within(deadline), "with a cause": within(cause), "without any": within(cancels),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				b.ends(wrap)
				start := time.Now()
				status, body := b.ask()
				require.Equal(b, http.StatusServiceUnavailable, status)
				require.Equal(b, "the service is not available now\n", body)
				require.Equal(b, time.Second, time.Since(start))
			})
			t.Run("again", func(t *testing.T) {
				inBubble(t, traffic.Config{}, func(b *bubble) {
					b.router = traffic.New(traffic.Config{Transport: whileDialled(b, func() { b.set(2, nil, 100) })})
					b.ends(wrap)
					b.set(1, map[string][]string{"a": {"http://" + dying}}, 100)
					start := time.Now()
					status, _ := b.ask()
					require.Equal(b, http.StatusServiceUnavailable, status)
					require.Equal(b, time.Second, time.Since(start))
					require.Equal(b, rollout.Counts{}, b.counts())
				})
			})
		})
	}
}
