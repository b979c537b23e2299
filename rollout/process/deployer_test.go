//go:build linux

package process_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
)

// listening are the ways in which a service may listen: with UPKEEP_FULL=1 both,
// where what is to be shown hardly depends on that.
func listening() []string {
	if full() {
		return []string{"passed", "port"}
	}
	return []string{"passed"}
}

func TestDeployer(t *testing.T) {
	t.Parallel()
	for _, play := range listening() {
		t.Run(play, func(t *testing.T) {
			rollouttest.RunDeployer(t, rollouttest.DeployerHarness{
				Open: func(t testing.TB) rollout.Deployer {
					if !strings.HasSuffix(t.Name(), "/who_watches_is_told") { // which waits longest, and begins at once
						t.(*testing.T).Parallel()
					}
					return open(t, process.Config{}).d
				},
				Spec: func(_ testing.TB, id rollout.RevisionID) rollout.Spec {
					if id.Version == rollouttest.Sick {
						return patient("sick")
					}
					return patient(play)
				},
				Refused: &rollout.Spec{Addresses: []string{"http://127.0.0.1:1"}},
				Fail: func(t testing.TB, _ rollout.Deployer, r rollout.Replica) {
					reply, err := http.Post(r.Endpoint+"/fail", "", nil)
					require.NoError(t, err)
					require.NoError(t, reply.Body.Close())
				},
				Print: func(t testing.TB, _ rollout.Deployer, r rollout.Replica, line string) {
					reply, err := http.Post(r.Endpoint+"/print", "text/plain", strings.NewReader(line))
					require.NoError(t, err)
					require.NoError(t, reply.Body.Close())
				},
				RealTime: true,
			})
		})
	}
}
