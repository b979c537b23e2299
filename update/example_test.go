package update_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"os"
	"slices"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// versions is a Source of a fixed list. Package update/source has real ones.
type versions []string

func (v versions) Versions(context.Context, string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		for _, s := range v {
			if !yield(update.Release{Version: s}, nil) {
				return
			}
		}
	}
}

func publish(ctx context.Context, t *update.Task) error {
	t.Progress(1, 2, "half of it is there")
	return ctx.Err()
}

// A program that keeps something of its own up to date.
func ExampleUpdater_Update() {
	state := memory.New()
	defer state.Close()
	u, err := update.New(update.Config{
		Store: state,
		Packages: []update.Package{{
			Name:   "demo/site",
			Source: versions{"1.0.0", "1.1.0", "2.0.0-rc.1"},
			Steps:  []update.Step{{Name: "publish", Do: publish}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()

	run, err := u.Update(context.Background(), update.Request{Package: "demo/site"})
	fmt.Println(run.Version, run.State, err)
	// Output: 1.1.0 succeeded <nil>
}

// A step that fails takes back what was done.
func ExampleUpdater_Update_rollback() {
	var site []string
	install := update.Step{
		Name: "install",
		Do:   func(_ context.Context, t *update.Task) error { site = append(site, t.Release.Version); return nil },
		Undo: func(_ context.Context, t *update.Task) error {
			site = slices.DeleteFunc(site, func(v string) bool { return v == t.Release.Version })
			return nil
		},
	}
	health := update.Step{
		Name: "health",
		Do:   func(context.Context, *update.Task) error { return errors.New("the site answers 500") },
	}
	state := memory.New()
	defer state.Close()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: versions{"1.1.0"}, Steps: []update.Step{install, health}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()

	run, err := u.Update(context.Background(), update.Request{Package: "demo/site"})
	fmt.Println(run.State, site)
	fmt.Println(err)
	// Output:
	// rolled_back []
	// update: failed: step "health": the site answers 500
}

// An update that is followed at a terminal.
func ExamplePrint() {
	ctx := context.Background()
	state := memory.New()
	defer state.Close()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{{
		Name:   "demo/site",
		Source: versions{"1.0.0"},
		Steps: []update.Step{
			{Name: "publish", Do: publish, Undo: publish},
			{Name: "health", Do: func(context.Context, *update.Task) error { return errors.New("the site answers 500") }},
		},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	run, err := u.Start(ctx, update.Request{Package: "demo/site", By: update.By{Actor: "ann"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := update.Print(os.Stdout, u.Follow(ctx, run.ID)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// bring demo/site from "" to 1.0.0 (asked for by ann)
	// publish
	// 50% publish: half of it is there
	// health
	// health failed: the site answers 500
	// rolling back: step "health": the site answers 500
	// 50% publish: half of it is there
	// publish undone
	// rolled back: step "health": the site answers 500
}

// Plan first, start, follow, and go back.
func ExampleUpdater_Follow() {
	ctx := context.Background()
	state := memory.New()
	defer state.Close()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: versions{"1.0.0", "1.1.0"}, Steps: []update.Step{{Name: "publish", Do: publish, Undo: publish}}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()

	plan, err := u.Plan(ctx, update.Request{Package: "demo/site", Version: "~1.0.0"})
	if err != nil {
		log.Fatal(err) // a step's pre-flight check failed; nothing has changed
	}
	run, err := u.Start(ctx, update.Request{Package: plan.Package, Version: plan.Version, By: update.By{Actor: "ann"}})
	if err != nil {
		log.Fatal(err) // update.ErrBusy: somebody else is updating it
	}
	for e, err := range u.Follow(ctx, run.ID) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Kind == update.EventStep {
			fmt.Println(e.Step, e.Phase)
		}
	}
	back, err := u.Rollback(ctx, run.ID, update.By{Actor: "ann", Reason: "wrong colours"})
	if err != nil {
		log.Fatal(err)
	}
	back, err = u.Wait(ctx, back.ID)
	fmt.Printf("%q %s %v\n", back.Version, back.State, err)
	// Output:
	// publish doing
	// publish done
	// "" succeeded <nil>
}
