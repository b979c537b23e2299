// Package procgroup runs a program so that it and what it starts can be ended
// together, and finds what an earlier process has left running.
package procgroup

import (
	"context"
	"errors"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// Options says how a group is made. A zero field means its documented default.
type Options struct {
	// EndsWithParent is set if the program ends when this process does: on Linux
	// the program alone, on Windows all of its group, elsewhere nothing. By
	// default what runs goes on.
	EndsWithParent bool
}

var errNoGroup = errors.New("procgroup: not the number of a group")

// Wait returns once the group is empty.
func (g *Group) Wait(ctx context.Context) error {
	const first, most = 10 * time.Millisecond, 250 * time.Millisecond
	for d := first; ; d = min(d*5/4, most) {
		if empty, err := g.Empty(); err != nil || empty {
			return err
		}
		if err := pause.For(ctx, d); err != nil {
			return err
		}
	}
}

// EndMarked kills all that Marked finds with a value that is to end, and returns
// when there is none.
func EndMarked(ctx context.Context, name string, ends func(value string) bool) error {
	for {
		marked, err := Marked(name)
		if err != nil {
			return err
		}
		found := false
		for pid, value := range marked {
			if !ends(value) {
				continue
			}
			found = true
			if err := kill(pid); err != nil {
				return err
			}
		}
		if !found {
			return nil
		}
		if err := pause.For(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
