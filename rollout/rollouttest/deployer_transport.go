package rollouttest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout"
)

// Transport reaches the replicas that d says there are of some services, on a
// network in memory that works in a testing/synctest bubble too: it is what the
// Config of a traffic.Router takes for the cluster of storage/memory. A replica
// answers as its handler does once it has started; one that is starting or gone
// refuses, and what is open at one that goes is cut at its next request. All of
// it ends with the test.
func Transport(
	t testing.TB, d rollout.Deployer, serve func(rollout.Replica) http.Handler, services ...rollout.ServiceID,
) *http.Transport {
	n := &replicaNetwork{t: t, d: d, serve: serve, services: services, hosts: make(map[string]string)}
	transport := n.network.Transport(t)
	transport.DialContext = n.dial
	return transport
}

type replicaNetwork struct {
	t        testing.TB
	d        rollout.Deployer
	serve    func(rollout.Replica) http.Handler
	services []rollout.ServiceID
	network  wiretest.Network

	mu    sync.Mutex
	hosts map[string]string // by endpoint
}

// find returns the replica with an address, unless it does not answer.
func (n *replicaNetwork) find(ctx context.Context, address string) (rollout.Replica, bool) {
	for _, s := range n.services {
		all, err := n.d.Observe(ctx, s)
		if err != nil {
			return rollout.Replica{}, false
		}
		for _, r := range all {
			host := strings.TrimPrefix(r.Endpoint, "http://")
			answers := r.State == rollout.ReplicaReady || r.State == rollout.ReplicaFailing
			if answers && (host == address || host+":80" == address) {
				return r, true
			}
		}
	}
	return rollout.Replica{}, false
}

func (n *replicaNetwork) dial(ctx context.Context, network, address string) (net.Conn, error) {
	r, found := n.find(ctx, address)
	if !found {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	n.mu.Lock()
	host := n.hosts[r.Endpoint]
	if host == "" {
		answer := n.serve(r)
		host = strings.TrimPrefix(n.network.Serve(n.t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if _, there := n.find(q.Context(), address); !there {
				panic(http.ErrAbortHandler)
			}
			answer.ServeHTTP(w, q)
		})}), "http://")
		n.hosts[r.Endpoint] = host
	}
	n.mu.Unlock()
	return n.network.Dial(ctx, network, host)
}
