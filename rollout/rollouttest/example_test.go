package rollouttest_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// A test of a program that rolls: two hours, in no time, with requests.
func ExampleTransport() {
	_ = func(t *testing.T) { // func TestRoll(t *testing.T) of the program
		synctest.Test(t, rollsForHours)
	}
}

var shop = rollout.ServiceID{Name: "shop"}

// rollsForHours brings v2 into use with an hour at ten percent, and one at half.
func rollsForHours(t *testing.T) {
	db := memory.New()
	cluster := db.Deployer(memory.Cluster{StartUp: 5 * time.Second})
	router := traffic.New(traffic.Config{Transport: rollouttest.Transport(t, cluster, answers, shop)})
	c, err := rollout.New(rollout.Config{Store: db, Deployer: cluster, Router: router, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func() string {
		w := httptest.NewRecorder()
		router.Handler(shop).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Body.String()
	}
	begun := time.Now()
	for _, version := range []string{"v1", "v2"} {
		run, err := c.Start(t.Context(), rollout.Request{
			Service: shop, Version: version, Spec: rollout.Spec{Command: []string{"bin/" + version}},
			Strategy: &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Hold: time.Hour}, {Percent: 50, Hold: time.Hour}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range c.Follow(t.Context(), run.ID) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == rollout.EventState && e.State == rollout.StateAnalysing && version == "v2" {
				seen := map[string]int{}
				for range 100 {
					seen[ask()]++
				}
				if seen["v2"] != e.Split.Weights[1].Percent {
					t.Errorf("%v requests at %s", seen, e.Split)
				}
			}
		}
	}
	if got := ask(); got != "v2" || time.Since(begun) < 2*time.Hour {
		t.Errorf("%q after %s", got, time.Since(begun))
	}
}

// answers is what a replica of the service serves.
func answers(r rollout.Replica) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, r.Revision.Version) })
}
