package traffic_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

func TestARouterKeepsItsPromises(t *testing.T) {
	t.Parallel()
	var network wiretest.Network
	var client *http.Transport
	var front func(rollout.ServiceID) string // the address of a service, which has one
	rollouttest.RunRouter(t, rollouttest.RouterHarness{
		Open: func(t testing.TB) rollout.Router {
			client = network.Transport(t)
			r := traffic.New(traffic.Config{Transport: network.Transport(t)})
			var mu sync.Mutex
			urls := map[rollout.ServiceID]string{}
			front = func(s rollout.ServiceID) string {
				mu.Lock()
				defer mu.Unlock()
				if urls[s] == "" {
					urls[s] = network.Serve(t, &http.Server{Handler: r.Handler(s)})
				}
				return urls[s]
			}
			return r
		},
		Endpoint: func(t testing.TB, s *http.Server) string { return network.Serve(t, s) },
		Send: func(_ rollout.Router, s rollout.ServiceID, request *http.Request) (*http.Response, error) {
			request.URL.Scheme, request.URL.Host = "http", front(s)[len("http://"):]
			return client.RoundTrip(request)
		},
	})
}
