package rollouttest_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// routed is the harness of a traffic.Router on a network in memory, which wrap
// may break.
func routed(wrap func(*traffic.Router) rollout.Router) rollouttest.RouterHarness {
	var network wiretest.Network
	var mu sync.Mutex
	sends := map[rollout.Router]func(rollout.ServiceID, *http.Request) (*http.Response, error){}
	return rollouttest.RouterHarness{
		Open: func(t testing.TB) rollout.Router {
			sound := traffic.New(traffic.Config{Transport: network.Transport(t)})
			client := network.Transport(t)
			urls := map[rollout.ServiceID]string{}
			r := wrap(sound)
			mu.Lock()
			defer mu.Unlock()
			sends[r] = func(s rollout.ServiceID, request *http.Request) (*http.Response, error) {
				mu.Lock()
				if urls[s] == "" {
					urls[s] = network.Serve(t, &http.Server{Handler: sound.Handler(s)})
				}
				url := urls[s]
				mu.Unlock()
				request.URL.Scheme, request.URL.Host = "http", url[len("http://"):]
				return client.RoundTrip(request)
			}
			return r
		},
		Endpoint: func(t testing.TB, s *http.Server) string { return network.Serve(t, s) },
		Send: func(r rollout.Router, s rollout.ServiceID, request *http.Request) (*http.Response, error) {
			mu.Lock()
			send := sends[r]
			mu.Unlock()
			return send(s, request)
		},
	}
}

func TestTheTrafficRouterKeepsThePromisesOfRouter(t *testing.T) {
	rollouttest.RunRouter(t, routed(func(r *traffic.Router) rollout.Router { return r }))
}
