package static_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// A service that somebody else runs, and its next version.
func ExampleNew() {
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }
	one, two := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewServer(http.HandlerFunc(answer))
	defer one.Close()
	defer two.Close()

	addresses := static.New(static.Config{})
	defer addresses.Close() // the services go on
	c, err := rollout.New(rollout.Config{
		Store: memory.New(), Deployer: addresses, Router: traffic.New(traffic.Config{}),
		Strategy: rollout.Strategy{
			MinReady: time.Millisecond, Tolerance: rollout.Tolerance{Off: true},
			Steps: []rollout.Step{{Percent: 10, Hold: -1}, {Percent: 100, Hold: -1}},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	web := rollout.ServiceID{Name: "web"}
	var run rollout.Run
	for i, url := range []string{one.URL, two.URL} {
		run, err = c.Roll(context.Background(), rollout.Request{
			Service: web, Version: fmt.Sprintf("v%d", i+1), Spec: rollout.Spec{Addresses: []string{url}},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(run.State, run.Revision.Version)
	// Output: succeeded v2
}
