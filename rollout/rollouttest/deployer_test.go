package rollouttest_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// simulated is the harness of the cluster in memory, which wrap may break.
func simulated(wrap func(*memory.Deployer) rollout.Deployer) rollouttest.DeployerHarness {
	var mu sync.Mutex
	of := map[rollout.Deployer]*memory.Deployer{}
	sound := func(d rollout.Deployer) *memory.Deployer {
		mu.Lock()
		defer mu.Unlock()
		return of[d]
	}
	return rollouttest.DeployerHarness{
		Open: func(testing.TB) rollout.Deployer {
			cluster := memory.New().Deployer(memory.Cluster{
				StartUp: time.Second, Latency: time.Millisecond,
				Fail: func(id rollout.RevisionID) error {
					if id.Version == rollouttest.Sick {
						return errors.New("no such program")
					}
					return nil
				},
			})
			mu.Lock()
			defer mu.Unlock()
			d := wrap(cluster)
			of[d] = cluster
			return d
		},
		Spec: func(_ testing.TB, id rollout.RevisionID) rollout.Spec {
			return rollout.Spec{Command: []string{id.Version}}
		},
		Fail: func(t testing.TB, d rollout.Deployer, r rollout.Replica) {
			require.NoError(t, sound(d).Kill(r.ID))
		},
		Print: func(t testing.TB, d rollout.Deployer, r rollout.Replica, line string) {
			require.NoError(t, sound(d).Print(r.ID, line))
		},
	}
}

// addressed is the harness of addresses, which wrap may break.
func addressed(wrap func(*static.Deployer) rollout.Deployer) rollouttest.DeployerHarness {
	var network wiretest.Network
	var servers sync.Map // by base URL
	return rollouttest.DeployerHarness{
		Open: func(t testing.TB) rollout.Deployer {
			d := static.New(static.Config{Transport: network.Transport(t)})
			t.Cleanup(func() { _ = d.Close() })
			return wrap(d)
		},
		Spec: func(t testing.TB, id rollout.RevisionID) rollout.Spec {
			s := rollout.Spec{Health: &rollout.Health{Path: "/up", Interval: 20 * time.Second}}
			for range 4 {
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if id.Version == rollouttest.Sick || r.URL.Path != "/up" {
						w.WriteHeader(http.StatusInternalServerError)
					}
				})}
				address := network.Serve(t, server)
				servers.Store(address, server)
				s.Addresses = append(s.Addresses, address)
			}
			return s
		},
		Refused: &rollout.Spec{Command: []string{"web"}},
		Fail: func(t testing.TB, _ rollout.Deployer, r rollout.Replica) {
			server, _ := servers.Load(r.Endpoint)
			require.NoError(t, server.(*http.Server).Close())
		},
	}
}

func TestTheClusterInMemoryKeepsThePromisesOfDeployer(t *testing.T) {
	t.Parallel()
	rollouttest.RunDeployer(t, simulated(func(d *memory.Deployer) rollout.Deployer { return d }))
}

func TestAddressesKeepThePromisesOfDeployer(t *testing.T) {
	t.Parallel()
	rollouttest.RunDeployer(t, addressed(func(d *static.Deployer) rollout.Deployer { return d }))
}
