// The small program whose size is tested: updates over memory, from a fixed
// list of versions, nothing else.
package main

import (
	"context"
	"fmt"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

func main() {
	state := memory.New()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{{
		Name: "app", Source: source.Static("1.0.0"), Steps: []update.Step{{
			Name: "install", Do: func(context.Context, *update.Task) error { return nil },
		}},
	}}})
	if err != nil {
		panic(err)
	}
	defer u.Close()
	fmt.Println(u.Update(context.Background(), update.Request{Package: "app"}))
}
