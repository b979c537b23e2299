package update_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/upkeep-go/upkeep/update"
)

// point is a step of one's own: it points a name at the version of the run.
func point(names map[string]string, name string) update.Step {
	return update.Step{
		Name: "point",
		Do: func(ctx context.Context, t *update.Task) error {
			// Kept before the effect: the process may die between the two.
			if err := t.Save(ctx, names[name]); err != nil {
				return err
			}
			names[name] = t.Release.Version
			fmt.Fprintf(t.Output(), "%s leads to %s\n", name, names[name])
			return nil
		},
		Probe: func(_ context.Context, t *update.Task) (update.Applied, error) {
			if names[name] == t.Release.Version {
				return update.AppliedYes, nil
			}
			return update.AppliedNo, nil
		},
		Undo: func(_ context.Context, t *update.Task) error {
			before := names[name] // stays, if Do did not come as far as Save
			if err := t.Load(&before); err != nil {
				return err
			}
			names[name] = before
			return nil
		},
	}
}

// A step's own unit test needs no Updater and no engine: its functions are
// called with a Task that has what the step looks at. In a test, Log is
// t.Output(), or a bytes.Buffer to look into.
func ExampleTask() {
	ctx := context.Background()
	names := map[string]string{"www": "1.0.0"}
	step := point(names, "www")
	task := &update.Task{Release: update.Release{Version: "1.1.0"}, Log: os.Stdout}

	probe := func() update.Applied {
		found, err := step.Probe(ctx, task)
		if err != nil {
			log.Fatal(err)
		}
		return found
	}
	fmt.Println(probe() == update.AppliedNo)
	fmt.Println(step.Do(ctx, task), names)
	fmt.Println(probe() == update.AppliedYes)

	var kept string
	fmt.Println(task.Load(&kept), kept) // what Do has saved
	fmt.Println(step.Undo(ctx, task), names)
	fmt.Println(step.Undo(ctx, task), names) // Undo must bear being run twice
	// Output:
	// true
	// www leads to 1.1.0
	// <nil> map[www:1.1.0]
	// true
	// <nil> 1.0.0
	// <nil> map[www:1.0.0]
	// <nil> map[www:1.0.0]
}
