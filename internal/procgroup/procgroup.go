// Package procgroup runs a program so that it and what it starts can be ended
// together, and finds what an earlier process has left running.
package procgroup

import (
	"context"
	"errors"
	"maps"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/internal/proc"
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
// when there is none, and when what it has killed has ended: a process that is
// ending has lost its environment before it lets go of its files and ports.
func EndMarked(ctx context.Context, name string, ends func(value string) bool) error {
	killed := make(map[proc.ID]bool)
	for {
		marked, err := Marked(name)
		if err != nil {
			return err
		}
		for pid, value := range marked {
			if !ends(value) {
				continue
			}
			id, err := proc.Of(pid)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil {
				err = kill(pid)
			}
			if err != nil {
				return err
			}
			killed[id] = true
		}
		maps.DeleteFunc(killed, func(id proc.ID, _ bool) bool { return id.Ended() })
		if len(killed) == 0 {
			return nil
		}
		if err := pause.For(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
