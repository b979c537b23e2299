package traffic_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// gone is an endpoint where nobody listens.
const gone = "http://10.1.1.1:80"

// counts are those of revision a, without its latency.
func (b *bubble) counts() rollout.Counts {
	synctest.Wait()
	s, err := b.router.Stats(context.Background(), web)
	require.NoError(b, err)
	c := s.Revisions["a"]
	begun := int64(0)
	for i, l := range c.Latency {
		begun += l.Count
		require.True(b, i == 0 || l.Within > c.Latency[i-1].Within)
	}
	require.LessOrEqual(b, begun, c.Requests)
	c.Latency = nil
	return c
}

func TestAPostGoesToAnotherEndpointIfNothingOfItWasSent(t *testing.T) {
	n := 100
	if full() {
		n = 1000
	}
	inBubble(t, traffic.Config{}, func(b *bubble) {
		body := bytes.Repeat([]byte("0123456789"), 7<<10)
		sum := sha256.Sum256(body)
		whole := 0
		service := b.serve(func(_ http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			if err == nil && sha256.Sum256(got) == sum {
				whole++
			}
		})
		b.set(1, map[string][]string{"a": {gone, service}}, 100)
		for i := range n {
			status, _ := b.ask(func(r *http.Request) {
				r.Method, r.Body = http.MethodPost, io.NopCloser(bytes.NewReader(body))
				if i%2 == 0 {
					r.ContentLength = int64(len(body))
				}
			})
			require.Equal(b, http.StatusOK, status)
			time.Sleep(time.Second) // so that what is gone is tried again and again
		}
		require.Equal(b, n, whole)
		require.Equal(b, rollout.Counts{Requests: int64(n)}, b.counts())
	})
}

func TestAPostIsNotSentAgainIfSomethingOfItWas(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		var asked atomic.Int64
		l := b.Network.Listen()
		b.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					r := bufio.NewReader(c)
					if request, err := http.ReadRequest(r); err == nil {
						asked.Add(1)
						_, _ = request.Body.Read(make([]byte, 1))
					}
					_ = c.Close()
				}()
			}
		}()
		b.set(1, map[string][]string{"a": {"http://" + l.Addr().String()}, "b": {b.named("b")}}, 100, 0)
		for i := range 20 {
			status, _ := b.ask(func(r *http.Request) { r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("body")) })
			require.Equal(b, http.StatusBadGateway, status)
			require.EqualValues(b, i+1, asked.Load())
		}
		require.Equal(b, rollout.Counts{Requests: 20, Errors: 20}, b.counts())
	})
}

func TestARequestFailsIfNoEndpointOfItsRevisionCanBeReached(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {gone, "http://10.1.1.2:80"}, "b": {b.named("b")}}, 100, 0)
		status, body := b.ask()
		require.Equal(b, http.StatusBadGateway, status)
		require.Equal(b, "no valid reply from the service\n", body)
		require.Equal(b, rollout.Counts{Requests: 1, Errors: 1}, b.counts())
	})
}

func TestAClientThatLeavesIsNoErrorOfTheService(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		var cut atomic.Int64
		slow := func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/headers":
				<-r.Context().Done()
			case "/body":
				_, _ = io.WriteString(w, "begun")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			case "/upload":
				_, _ = io.Copy(io.Discard, r.Body)
			default:
				return
			}
			cut.Add(1)
		}
		b.set(1, map[string][]string{"a": {b.serve(slow), b.serve(slow)}}, 100)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				r := b.request()
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				defer cancel()
				if i < 60 {
					r.URL.Path = []string{"/headers", "/body", "/upload"}[i%3]
				}
				if i < 60 && i%3 == 2 {
					r.Method, r.Body = http.MethodPost, io.NopCloser(forever{ctx})
				}
				reply, err := b.client.RoundTrip(r.WithContext(ctx))
				if err == nil {
					_, _ = io.Copy(io.Discard, reply.Body)
					_ = reply.Body.Close()
				}
			})
		}
		start := time.Now()
		all.Wait()
		require.Equal(b, rollout.Counts{Requests: 140, Cancelled: 60}, b.counts())
		require.EqualValues(b, 60, cut.Load(), "the service has seen each")
		require.LessOrEqual(b, time.Since(start), 100*time.Millisecond)
	})
}

// forever is a body that does not end before its context.
type forever struct{ context.Context }

func (f forever) Read(p []byte) (int, error) {
	select {
	case <-f.Done():
		return 0, f.Err()
	case <-time.After(time.Millisecond):
		return copy(p, "x"), nil
	}
}

func TestFailuresAreCountedAsWhatTheyAre(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   rollout.Counts
	}{
		{"an answer", func(http.ResponseWriter, *http.Request) {}, rollout.Counts{Requests: 1}},
		{"not found", http.NotFound, rollout.Counts{Requests: 1}},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }, rollout.Counts{Requests: 1, Errors: 1}},
		{"nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, rollout.Counts{Requests: 1, Errors: 1}},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, rollout.Counts{Requests: 1, Errors: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var served []traffic.Served
			inBubble(t, traffic.Config{Observe: func(s traffic.Served) { served = append(served, s) }}, func(b *bubble) {
				service := b.serve(tt.answer)
				b.set(1, map[string][]string{"a": {service}}, 100)
				reply, err := b.client.RoundTrip(b.request())
				if err == nil {
					_, _ = io.ReadAll(reply.Body)
					_ = reply.Body.Close()
				}
				require.Equal(b, tt.want, b.counts())
				require.Len(b, served, 1)
				require.Equal(b, rollout.RevisionID{Service: web, Version: "v-a", Run: "a"}, served[0].Revision)
				require.Equal(b, service, served[0].Endpoint)
				require.Equal(b, tt.name == "nothing", served[0].Status == 0)
				require.Equal(b, tt.name == "nothing" || tt.name == "half an answer", served[0].Err != nil)
			})
		})
	}
}

func TestLatencyIsThatOfTheBeginningOfTheReply(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		slow := b.serve(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(300 * time.Millisecond)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Minute)
		})
		b.set(1, nil, 100)
		go func() {
			time.Sleep(10 * time.Second)
			b.set(2, map[string][]string{"a": {slow}}, 100)
		}()
		b.ask()
		s, err := b.router.Stats(context.Background(), web)
		require.NoError(b, err)
		latency := s.Revisions["a"].Latency
		for i, l := range latency {
			if l.Count > 0 {
				require.GreaterOrEqual(b, l.Within, 300*time.Millisecond)
				require.Less(b, latency[i-1].Within, 300*time.Millisecond)
				require.Less(b, l.Within, 400*time.Millisecond)
				return
			}
		}
		require.Fail(b, "no latency")
	})
}

func TestABodyThatCannotBeReadIsTheFaultOfTheClient(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.serve(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}}, 100)
		_, r := b.dial("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n")
		reply, err := http.ReadResponse(r, nil)
		require.NoError(b, err)
		require.Equal(b, http.StatusBadRequest, reply.StatusCode)
		require.Equal(b, rollout.Counts{Cancelled: 1}, b.counts())

		limited := b.Network.Serve(b, &http.Server{Handler: http.MaxBytesHandler(b.router.Handler(web), 10)})
		request, err := http.NewRequest(http.MethodPost, limited, strings.NewReader(strings.Repeat("x", 100)))
		require.NoError(b, err)
		reply, err = b.client.RoundTrip(request)
		require.NoError(b, err)
		require.NoError(b, reply.Body.Close())
		require.Equal(b, http.StatusRequestEntityTooLarge, reply.StatusCode)
		require.Equal(b, rollout.Counts{Cancelled: 2}, b.counts())
	})
}

func TestWhatIsNotPassedOnIsObservedToo(t *testing.T) {
	var served []traffic.Served
	inBubble(t, traffic.Config{QueueTime: time.Second, Observe: func(s traffic.Served) { served = append(served, s) }}, func(b *bubble) {
		b.ask()
		b.ask(func(r *http.Request) { r.Header.Set("Content-Type", "application/grpc") })
		require.Len(b, served, 2)
		for _, s := range served {
			require.Error(b, s.Err)
			require.Zero(b, s.Revision)
			require.NotNil(b, s.Request)
		}
	})
}

func TestTheRevisionIsToldToClientsIfAskedFor(t *testing.T) {
	for _, on := range []bool{false, true} {
		inHeader := func(b *bubble) {
			b.set(1, map[string][]string{"a": {b.named("a")}}, 100)
			reply, err := b.client.RoundTrip(b.request())
			require.NoError(b, err)
			require.NoError(b, reply.Body.Close())
			require.Equal(b, on, reply.Header.Get("X-Upkeep-Revision") == "v-a a")
		}
		t.Run("", func(t *testing.T) { inBubble(t, traffic.Config{RevisionHeader: on}, inHeader) })
	}
}

func TestCountsOfRevisionsLongGoneAreForgotten(t *testing.T) {
	t.Parallel()
	r := traffic.New(traffic.Config{})
	for i := range 100 {
		run := string(rune('A' + i))
		require.NoError(t, r.Set(context.Background(), web, rollout.Table{
			Generation: int64(i), Split: rollout.Split{Weights: []rollout.Weight{{Run: run, Percent: 100}}}}))
	}
	s, err := r.Stats(context.Background(), web)
	require.NoError(t, err)
	require.Len(t, s.Revisions, 17)
}

func TestAnEndpointThatDiesFailsOnlyWhatWasInFlightThere(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		dying := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-r.Context().Done()
			}
		})}
		b.set(1, map[string][]string{"a": {b.Network.Serve(b, dying), b.named("other")}}, 100)
		b.asked(20)
		failed := make(chan int)
		for range 2 {
			go func() {
				status, _ := b.ask(func(r *http.Request) { r.Method, r.URL.Path = http.MethodPost, "/slow" })
				failed <- status
			}()
		}
		synctest.Wait()
		require.NoError(b, dying.Close())
		got := []int{<-failed, <-failed}
		require.ElementsMatch(b, []int{http.StatusOK, http.StatusBadGateway}, got)
		synctest.Wait()
		for range 50 {
			status, _ := b.ask()
			require.Equal(b, http.StatusOK, status)
		}
	})
}
