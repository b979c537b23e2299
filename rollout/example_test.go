package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// quick is a Strategy for examples, which nobody wants to wait for.
var quick = rollout.Strategy{
	Steps:    []rollout.Step{{Percent: 10, Hold: -1}, {Percent: 50, Hold: -1}, {Percent: 100, Hold: -1}},
	MinReady: time.Millisecond,
}

// A service, and its next version a step at a time.
func Example() {
	ctx := context.Background()
	db := memory.New()
	defer db.Close()
	router := traffic.New(traffic.Config{}) // router.Handler(web) serves
	c := must(rollout.New(rollout.Config{
		Store: db, Deployer: db.Deployer(memory.Cluster{}), Router: router, // a simulated cluster; package static is for real addresses
		Strategy: quick, Logger: slog.New(slog.DiscardHandler),
	}))
	defer c.Close()

	must(c.Roll(ctx, rollout.Request{Service: web, Version: "v1", Spec: rollout.Spec{
		Command: []string{"bin/web-1"}, MinReplicas: new(2),
	}}))
	run, err := c.Roll(ctx, rollout.Request{Service: web, Version: "v2", Spec: rollout.Spec{
		Command: []string{"bin/web-2"}, // the rest stays as it is
	}})
	fmt.Println(run.State, err)
	for e, err := range c.Follow(ctx, run.ID) {
		check(err)
		if e.State == rollout.StateAnalysing {
			fmt.Println("step", e.Step, e.Split)
		}
	}
	// Output:
	// succeeded <nil>
	// step 0 v1 90 v2 10
	// step 1 v1 50 v2 50
	// step 2 v2 100
}

// Look at what would happen, and do exactly that.
func ExampleController_Plan() {
	ctx, c := context.Background(), controller()
	defer c.Close()
	request := rollout.Request{Service: web, Spec: rollout.Spec{
		Port: new(9000), Environment: map[string]string{"PASSWORD": "secret"},
	}, By: ann}
	plan := must(c.Plan(ctx, request))
	for _, d := range plan.Diff {
		fmt.Printf("%s %q → %q\n", d.Field, d.From, d.To)
	}
	fmt.Println(len(plan.Steps), "steps")

	request.Plan = plan.ID
	must(c.Roll(ctx, request))
	_, err := c.Roll(ctx, request)
	fmt.Println(errors.Is(err, rollout.ErrStale))
	// Output:
	// Port "" → "9000"
	// Environment.PASSWORD "" → "***"
	// 3 steps
	// true
}

// Five percent, then a person decides.
func ExampleController_Promote() {
	ctx, c := context.Background(), controller()
	defer c.Close()
	run := must(c.Start(ctx, rollout.Request{
		Service: web, Version: "v2", Spec: rollout.Spec{Command: []string{"bin/web-2"}},
		Strategy: &rollout.Strategy{MinReady: time.Millisecond, Steps: []rollout.Step{
			{Percent: 5, Hold: -1, Manual: true}, {Percent: 50}, {Percent: 100},
		}},
	}))
	for e, err := range c.Follow(ctx, run.ID) {
		check(err)
		if e.Kind == rollout.EventState && e.State == rollout.StatePaused {
			fmt.Println(e.Split)
			check(c.Promote(ctx, run.ID, ann)) // or Resume(ctx, run.ID, e.Step, ann), or Cancel
		}
	}
	fmt.Println(must(c.Wait(ctx, run.ID)).Split)
	// Output:
	// v1 95 v2 5
	// v2 100
}

// Back to what was there before.
func ExampleController_Rollback() {
	ctx, c := context.Background(), controller()
	defer c.Close()
	must(c.Roll(ctx, rollout.Request{Service: web, Version: "v2", Spec: rollout.Spec{Command: []string{"bin/web-2"}}}))
	for run, err := range c.History(ctx, rollout.Query{Service: web, State: rollout.StateSucceeded}) {
		check(err)
		back := must(c.Rollback(ctx, run.ID, rollout.By{Actor: "ann", Reason: "wrong prices"}))
		fmt.Println(must(c.Wait(ctx, back.ID)).Split)
		break // the last one
	}
	// Output: v1 100
}

// A tenth of the visitors see v2 and stay there; a header chooses it.
func ExampleController_Shift() {
	ctx, c := context.Background(), controller()
	defer c.Close()
	must(c.Roll(ctx, rollout.Request{
		Service: web, Version: "v2", Spec: rollout.Spec{Command: []string{"bin/web-2"}}, Share: new(0),
	}))
	check(c.Shift(ctx, web, rollout.Split{
		Weights: []rollout.Weight{{Version: "v1", Percent: 90}, {Version: "v2", Percent: 10}},
		Rules:   []rollout.Rule{{Version: "v2", Match: rollout.Match{Header: "X-Preview", Value: "yes"}}},
		Sticky:  &rollout.Sticky{Cookie: "revision", Issue: true},
	}, ann))
	fmt.Println(must(c.Status(ctx, web)).Split)
	// Output: v1 90 v2 10
}

// controller has a service with one version.
func controller() *rollout.Controller {
	db := memory.New()
	c := must(rollout.New(rollout.Config{
		Store: db, Deployer: db.Deployer(memory.Cluster{}), Router: traffic.New(traffic.Config{}), Strategy: quick,
		Logger: slog.New(slog.DiscardHandler),
	}))
	must(c.Roll(context.Background(), rollout.Request{
		Service: web, Version: "v1", Spec: rollout.Spec{Command: []string{"bin/web-1"}},
	}))
	return c
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
