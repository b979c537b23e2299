package update

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/upkeep-go/upkeep/internal/follow"
)

// Follow yields the events of one run, of this process or another, in order and
// losing none: from its first to its last, which is EventEnded, or EventCorrupt
// if that cannot be read. It waits for more until then, or until ctx ends. An
// error is the last pair: ErrNotFound for an unknown run, ErrCompacted when not
// all of its events are kept, ErrClosed when the Updater is closed before the
// run has ended, and else as Watch has it.
func (u *Updater) Follow(ctx context.Context, id string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		run, err := u.Get(ctx, id)
		if err == nil && run.Seq == 0 {
			err = fmt.Errorf("%w: run %q has none", ErrCompacted, id)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		for e, err := range u.following(run).Events(ctx) {
			if !yield(e, err) {
				return
			}
		}
	}
}

func (u *Updater) following(run Run) follow.Run[Event] {
	return follow.Run[Event]{
		ID: run.ID, Seq: run.Seq, Watch: u.Watch, Door: u.door, Closed: errClosing,
		About: func(e Event) follow.Event {
			return follow.Event{Seq: e.Seq, Time: e.Time, Run: e.Run, Last: e.Kind == EventEnded, Corrupt: e.Kind == EventCorrupt}
		},
		End: func(ctx context.Context) (time.Time, bool) {
			run, err := u.Get(ctx, run.ID)
			return run.EndedAt, err == nil && run.State.Done()
		},
	}
}
