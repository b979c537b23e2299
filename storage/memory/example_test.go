package memory_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// A test needs no file to see what a program does when somebody else holds the
// lock.
func ExampleNew() {
	db := memory.New()
	defer db.Close()
	ctx := context.Background()

	own, err := db.Locker().Acquire(ctx, "core", "alice", time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.Locker().Acquire(ctx, "core", "bob", time.Minute)
	var held *lease.HeldError
	fmt.Println(errors.As(err, &held), held.Owner)

	if err := db.Locker().Release(ctx, own); err != nil {
		log.Fatal(err)
	}
	_, err = db.Locker().Acquire(ctx, "core", "bob", time.Minute)
	fmt.Println(err)
	// Output:
	// true alice
	// <nil>
}

func ExampleDB_Journal() {
	db := memory.New()
	defer db.Close()
	ctx := context.Background()

	run, err := db.Journal().Create(ctx,
		update.Run{ID: "r1", Package: "demo/site", State: update.StateRunning},
		update.Event{Kind: update.EventStarted, Actor: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	run.State, run.Percent = update.StateSucceeded, 100
	if _, err = db.Journal().Save(ctx, run, update.Event{Kind: update.EventEnded}); err != nil {
		log.Fatal(err)
	}
	for e, err := range db.Journal().Watch(ctx, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Seq, e.Kind, e.State, e.Percent)
		if e.Kind == update.EventEnded {
			break // else it waits for more
		}
	}
	// Output:
	// 1 started running 0
	// 2 ended succeeded 100
}
