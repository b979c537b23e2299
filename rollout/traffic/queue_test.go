package traffic_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// statuses asks n times at once. Once wait is called it returns how many
// requests got each status.
func (b *bubble) statuses(n int) (wait func() map[int]int) {
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			status, _ := b.ask()
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	return func() map[int]int {
		all.Wait()
		return got
	}
}

// waiting is how many requests wait.
func (b *bubble) waiting() int {
	s, err := b.router.Stats(context.Background(), web)
	require.NoError(b, err)
	return s.Waiting
}

func TestAServiceWakesFromZero(t *testing.T) {
	inBubble(t, traffic.Config{MaxConcurrent: 10}, func(b *bubble) {
		var mu sync.Mutex
		now, most, served := 0, 0, 0
		service := b.serve(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			now++
			served++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
		})
		b.set(1, nil, 100)
		changed := b.router.Changed(b.Context())
		started := 0
		go func() {
			for range changed {
				if started++; started == 1 {
					go func() {
						time.Sleep(500 * time.Millisecond)
						b.set(2, map[string][]string{"a": {service}}, 100)
					}()
				}
			}
		}()
		start := time.Now()
		count := b.statuses(200)
		synctest.Wait()
		require.Zero(b, time.Since(start))
		require.Equal(b, 100, b.waiting())
		require.Positive(b, started)
		got := count()
		require.Equal(b, map[int]int{http.StatusOK: 100, http.StatusServiceUnavailable: 100}, got)
		require.Equal(b, 100, served)
		require.Equal(b, 10, most)
		require.Equal(b, 600*time.Millisecond, time.Since(start), "ten at a time from when it was ready")
	})
}

func TestWhatMayNotWaitIsToldSoAtOnce(t *testing.T) {
	inBubble(t, traffic.Config{Queue: 1}, func(b *bubble) {
		wait := b.statuses(1)
		synctest.Wait()
		start := time.Now()
		reply, err := b.client.RoundTrip(b.request())
		require.NoError(b, err)
		require.NoError(b, reply.Body.Close())
		require.Equal(b, http.StatusServiceUnavailable, reply.StatusCode)
		require.NotEmpty(b, reply.Header.Get("Retry-After"))
		require.Zero(b, time.Since(start))
		require.Equal(b, map[int]int{http.StatusServiceUnavailable: 1}, wait())
		require.Equal(b, 30*time.Second, time.Since(start))
	})
}

// request is one to the router.
func (b *bubble) request() *http.Request {
	r, err := http.NewRequest(http.MethodGet, b.url, nil)
	require.NoError(b, err)
	return r
}

func TestTheApplicationMayAnswerWhatMayNotWait(t *testing.T) {
	inBubble(t, traffic.Config{QueueTime: time.Second, Unavailable: http.RedirectHandler("/sorry", http.StatusFound)}, func(b *bubble) {
		start := time.Now()
		status, _ := b.ask()
		require.Equal(b, http.StatusFound, status)
		require.Equal(b, time.Second, time.Since(start))
	})
}

func TestHeldRequestsWaitUntilTheServiceIsOpened(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		table := tableOf(1, b.three(), 100)
		table.Held = true
		require.NoError(b, b.router.Set(context.Background(), web, table))
		changed := b.router.Changed(b.Context())
		wait := b.statuses(50)
		time.Sleep(10 * time.Second)
		require.Equal(b, 50, b.waiting())
		require.Empty(b, changed, "there is something ready")
		table.Held, table.Generation = false, 2
		require.NoError(b, b.router.Set(context.Background(), web, table))
		require.Equal(b, map[int]int{http.StatusOK: 50}, wait())
		require.Zero(b, b.waiting())
	})
}

func TestAClientThatLeavesTheQueueIsNotPassedOn(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		asked := 0
		service := b.serve(func(http.ResponseWriter, *http.Request) { asked++ })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := b.client.RoundTrip(b.request().WithContext(ctx))
		require.ErrorIs(b, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Zero(b, b.waiting())
		b.set(1, map[string][]string{"a": {service}}, 100)
		synctest.Wait()
		require.Zero(b, asked)
	})
}

func TestARequestForWhatIsNotReadyWaitsWhileOthersPass(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		services := b.three()
		b.set(1, map[string][]string{"a": services["a"]}, 50, 50)
		wait := b.statuses(10)
		synctest.Wait()
		require.Equal(b, 5, b.waiting())
		b.set(2, services, 50, 50)
		require.Equal(b, map[int]int{http.StatusOK: 10}, wait())
	})
}

func TestWhoeverAsksLaterLearnsThatRequestsWait(t *testing.T) {
	inBubble(t, traffic.Config{QueueTime: time.Minute}, func(b *bubble) {
		wait := b.statuses(1)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		changed := b.router.Changed(ctx)
		require.Len(b, changed, 1)
		<-changed
		cancel()
		_, open := <-changed
		require.False(b, open)
		wait()
		require.Empty(b, b.router.Changed(b.Context()))
	})
}

func TestARequestBeyondTheLimitGoesToTheNextEndpointOrWaits(t *testing.T) {
	inBubble(t, traffic.Config{MaxConcurrent: 2}, func(b *bubble) {
		var asked [2]atomic.Int64
		end := make(chan struct{})
		slow := func(name int) string {
			return b.serve(func(http.ResponseWriter, *http.Request) {
				asked[name].Add(1)
				<-end
			})
		}
		b.set(1, map[string][]string{"a": {slow(0), slow(1)}}, 100)
		wait := b.statuses(5)
		synctest.Wait()
		require.EqualValues(b, 2, asked[0].Load())
		require.EqualValues(b, 2, asked[1].Load())
		require.Equal(b, 1, b.waiting())
		require.Empty(b, b.router.Changed(b.Context()))
		end <- struct{}{}
		synctest.Wait()
		require.EqualValues(b, 5, asked[0].Load()+asked[1].Load())
		close(end)
		require.Equal(b, map[int]int{http.StatusOK: 5}, wait())
	})
}
