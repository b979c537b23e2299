package memory_test

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

// A test of a program sees what it does when a version never gets ready.
func ExampleDB_Deployer() {
	db := memory.New()
	defer db.Close()
	c, err := rollout.New(rollout.Config{
		Store: db, Router: traffic.New(traffic.Config{}),
		Deployer: db.Deployer(memory.Cluster{
			Fail: func(rollout.RevisionID) error { return errors.New("no such program") },
		}),
		Strategy: rollout.Strategy{Deadline: 50 * time.Millisecond},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	run, err := c.Roll(context.Background(), rollout.Request{Service: rollout.ServiceID{Name: "web"}, Version: "v1"})
	fmt.Println(run.State, errors.Is(err, rollout.ErrFailed))
	fmt.Println(run.Reason)
	// Output:
	// rolled_back true
	// 0 of 1 replicas are ready after 50ms: no such program
}

func ExampleDeployer_Kill() {
	db := memory.New()
	defer db.Close()
	ctx, cluster := context.Background(), db.Deployer(memory.Cluster{StartUp: time.Hour})
	v1 := rollout.RevisionID{Service: rollout.ServiceID{Name: "web"}, Version: "v1", Run: "run-1"}
	if err := cluster.Ensure(ctx, v1, rollout.Spec{}, 2); err != nil {
		log.Fatal(err)
	}
	if err := cluster.Kill("r1"); err != nil {
		log.Fatal(err)
	}
	if err := cluster.Ensure(ctx, v1, rollout.Spec{}, 2); err != nil {
		log.Fatal(err)
	}
	replicas, err := cluster.Observe(ctx, v1.Service)
	for _, r := range replicas {
		fmt.Println(r.ID, r.State, r.Endpoint, err)
	}
	// Output:
	// r2 starting http://r2.cluster.invalid <nil>
	// r3 starting http://r3.cluster.invalid <nil>
}

// A busy replica, for a test of scaling.
func ExampleDeployer_Change() {
	db := memory.New()
	defer db.Close()
	ctx, cluster := context.Background(), db.Deployer(memory.Cluster{})
	v1 := rollout.RevisionID{Service: rollout.ServiceID{Name: "web"}, Version: "v1", Run: "run-1"}
	if err := cluster.Ensure(ctx, v1, rollout.Spec{}, 1); err != nil {
		log.Fatal(err)
	}
	if err := cluster.Change("r1", func(r *rollout.Replica) { r.CPU = 0.9 }); err != nil {
		log.Fatal(err)
	}
	replicas, err := cluster.Observe(ctx, v1.Service)
	fmt.Println(replicas[0].ID, replicas[0].CPU, err)
	// Output: r1 0.9 <nil>
}
