package traffic_test

import (
	"net/http"
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
	var serve func(http.Handler) string
	rollouttest.RunRouter(t, rollouttest.RouterHarness{
		Open: func(t testing.TB) rollout.Router {
			client = network.Transport(t)
			serve = func(h http.Handler) string { return network.Serve(t, &http.Server{Handler: h}) }
			return traffic.New(traffic.Config{Transport: network.Transport(t)})
		},
		Endpoint: func(t testing.TB, s *http.Server) string { return network.Serve(t, s) },
		Send: func(r rollout.Router, s rollout.ServiceID, request *http.Request) (*http.Response, error) {
			url := serve(r.(*traffic.Router).Handler(s))
			request.URL.Scheme, request.URL.Host = "http", url[len("http://"):]
			return client.RoundTrip(request)
		},
	})
}
