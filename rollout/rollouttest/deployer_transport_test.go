package rollouttest_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestATransportReachesSimulatedReplicasWhileTheyAreThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1 := rollout.RevisionID{Service: rollout.ServiceID{Name: "web"}, Version: "v1", Run: "one"}
		cluster := memory.New().Deployer(memory.Cluster{StartUp: time.Second})
		client := rollouttest.Transport(t, cluster, func(r rollout.Replica) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, r.Revision.Version+" "+r.ID) })
		}, v1.Service)
		get := func(url string) string {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			reply, err := client.RoundTrip(r)
			if err != nil {
				return "refused"
			}
			defer reply.Body.Close()
			text, err := io.ReadAll(reply.Body)
			require.NoError(t, err)
			return string(text)
		}
		require.NoError(t, cluster.Ensure(t.Context(), v1, rollout.Spec{}, 2))
		require.Equal(t, "refused", get("http://r1.cluster.invalid/"))
		time.Sleep(2 * time.Second)
		require.Equal(t, "v1 r1", get("http://r1.cluster.invalid/"))
		require.Equal(t, "v1 r2", get("http://r2.cluster.invalid/"))
		require.NoError(t, cluster.Kill("r1"))
		require.Equal(t, "refused", get("http://r1.cluster.invalid/"))
		require.Equal(t, "v1 r2", get("http://r2.cluster.invalid/"))
		require.Equal(t, "refused", get("http://r3.cluster.invalid/"))
	})
}

func TestTheExampleRollsForHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, rollsForHours)
}
