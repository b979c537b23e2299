package traffic_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// dying is the host of an endpoint that is stopped while it is dialled.
const dying = "10.1.1.9:80"

// whileDialled is a transport of b whose dials of dying do something and are
// refused.
func whileDialled(b *bubble, do func()) *http.Transport {
	t := b.Transport(b)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
		if to == dying {
			do()
			to = strings.TrimPrefix(gone, "http://")
		}
		return dial(ctx, network, to)
	}
	return t
}

// posted sends a body, which the services here answer with their name and it.
func (b *bubble) posted() (int, string) {
	b.Helper()
	return b.ask(func(r *http.Request) { r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("body")) })
}

func (b *bubble) echoes(name string) string {
	return b.serve(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, name+" "+string(body))
	})
}

// TestARequestWhoseEndpointIsStoppedIsSentByTheTableOfThen has an endpoint that
// is stopped between the choice and the dial, each time in another way.
func TestARequestWhoseEndpointIsStoppedIsSentByTheTableOfThen(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(b *bubble) // while it is dialled
		want string
	}{
		{"another endpoint of the revision", func(b *bubble) {
			b.set(2, map[string][]string{"a": {b.echoes("new")}}, 100)
		}, "new body"},
		{"another revision", func(b *bubble) {
			b.set(2, map[string][]string{"b": {b.echoes("other")}}, 0, 100)
		}, "other body"},
		{"one that is ready in a while", func(b *bubble) {
			b.set(2, nil, 100)
			ready := b.echoes("later")
			time.AfterFunc(10*time.Second, func() { b.set(3, map[string][]string{"a": {ready}}, 100) })
		}, "later body"},
		{"one that is opened in a while", func(b *bubble) {
			table := tableOf(2, map[string][]string{"a": {b.echoes("held")}}, 100)
			table.Held = true
			require.NoError(b, b.router.Set(context.Background(), web, table))
			time.AfterFunc(10*time.Second, func() {
				table.Held, table.Generation = false, 3
				_ = b.router.Set(context.Background(), web, table)
			})
		}, "held body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				b.router = traffic.New(traffic.Config{Transport: whileDialled(b, func() { tt.then(b) })})
				b.url = b.Network.Serve(b, &http.Server{Handler: b.router.Handler(web)})
				b.set(1, map[string][]string{"a": {"http://" + dying}}, 100)
				status, body := b.posted()
				require.Equal(b, http.StatusOK, status)
				require.Equal(b, tt.want, body)
				require.Zero(b, b.drained(1<<39, "http://"+dying))
				s, err := b.router.Stats(context.Background(), web)
				require.NoError(b, err)
				require.EqualValues(b, 1, s.Revisions["a"].Requests+s.Revisions["b"].Requests)
				require.Zero(b, s.Revisions["a"].Errors+s.Revisions["b"].Errors)
			})
		})
	}
}

func TestARequestThatWaitsAgainInVainHoldsNoDrainUp(t *testing.T) {
	var served []traffic.Served
	inBubble(t, traffic.Config{}, func(b *bubble) {
		config := traffic.Config{QueueTime: 5 * time.Second, Observe: func(s traffic.Served) { served = append(served, s) }}
		config.Transport = whileDialled(b, func() { b.set(2, nil, 100) })
		b.router = traffic.New(config)
		b.url = b.Network.Serve(b, &http.Server{Handler: b.router.Handler(web)})
		b.set(1, map[string][]string{"a": {"http://" + dying}}, 100)
		start := time.Now()
		wait := b.statuses(1)
		synctest.Wait()
		require.Equal(b, 1, b.waiting())
		require.NoError(b, b.router.Drain(context.Background(), web, "http://"+dying))
		require.Zero(b, time.Since(start))
		require.Equal(b, map[int]int{http.StatusServiceUnavailable: 1}, wait())
		require.Equal(b, 5*time.Second, time.Since(start))
		require.Equal(b, rollout.Counts{}, b.counts())
		require.Len(b, served, 1)
		require.Error(b, served[0].Err)
		require.Empty(b, served[0].Endpoint)
	})
}

func TestARequestThatCannotBeSentWaitsForAnEndpointThatIsBusy(t *testing.T) {
	inBubble(t, traffic.Config{MaxConcurrent: 1}, func(b *bubble) {
		slow := b.serve(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
		b.set(1, map[string][]string{"a": {slow, gone}}, 100)
		require.Equal(b, map[int]int{http.StatusOK: 2}, b.statuses(2)())
	})
}
