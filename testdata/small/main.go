// The small program whose size is tested: updates over memory, nothing else.
package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

type one struct{}

func (one) Versions(context.Context, string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) { yield(update.Release{Version: "1.0.0"}, nil) }
}

func main() {
	state := memory.New()
	u, err := update.New(update.Config{Locker: state.Locker(), Journal: state.Journal(), Packages: []update.Package{{
		Name: "app", Source: one{}, Steps: []update.Step{{
			Name: "install", Do: func(context.Context, *update.Task) error { return nil },
		}},
	}}})
	if err != nil {
		panic(err)
	}
	defer u.Close()
	fmt.Println(u.Update(context.Background(), update.Request{Package: "app"}))
}
