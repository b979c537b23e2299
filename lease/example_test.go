package lease_test

import (
	"context"
	"fmt"
	"log"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The lock alone, for work that is not an update.
func ExampleHold() {
	state := memory.New()
	defer state.Close()
	held, err := lease.Hold(context.Background(), state.Locker(), "nightly report", lease.HoldConfig{})
	if err != nil {
		log.Fatal(err) // lease.ErrHeld; *lease.HeldError says by whom and until when
	}
	defer held.Release()
	fmt.Println(held.Lease().Token, held.Context().Err()) // the context ends before anybody else can hold it
	// Output: 1 <nil>
}
