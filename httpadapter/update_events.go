package httpadapter

import (
	"context"
	"iter"
	"net/http"

	"github.com/upkeep-go/upkeep/update"
)

// events streams the journal. The output of steps is for admins.
func (u *updateAPI) events(c *call) error {
	after, err := c.resumeAt()
	if err != nil {
		return err
	}
	if c.query.Has("run") {
		return u.eventsOf(c, c.query.Get("run"), after)
	}
	details := c.details()
	return c.stream(after, func(ctx context.Context, after int64) iter.Seq2[event, error] {
		return func(yield func(event, error) bool) {
			for e, err := range u.updates.Watch(ctx, after) {
				if !yield(eventOf(e, details), err) {
					return
				}
			}
		}
	}, update.ErrCompacted)
}

func eventOf(e update.Event, details bool) event {
	name := string(e.Kind)
	if !details {
		e.Message = ""
		if e.Kind == update.EventLog {
			name = "" // passed over
		}
	}
	return event{id: e.Seq, name: name, data: eventReply(e)}
}

// eventsOf streams the events of one run that follow after, and ends with the
// run. Once there are none any more it answers with no content, at which an
// EventSource does not come back.
func (u *updateAPI) eventsOf(c *call, id string, after int64) error {
	run, err := u.updates.Get(c.r.Context(), id)
	if err != nil {
		return err
	}
	if run.State.Done() && after >= run.Seq && u.told(c.r.Context(), id, after) {
		return c.reply(http.StatusNoContent, nil)
	}
	details := c.details()
	return c.stream(max(after, run.Seq-1, 0), func(ctx context.Context, after int64) iter.Seq2[event, error] {
		return func(yield func(event, error) bool) {
			if after < 0 { // compacted: what is missing is to be read anew
				yield(event{}, errFeedEnds)
				return
			}
			for e, err := range u.updates.Watch(ctx, after) {
				next := eventOf(e, details)
				if e.Run != id {
					next.name = "" // passed over
				}
				if !yield(next, err) {
					return
				}
				if e.Run == id && u.isLast(ctx, e) {
					yield(event{}, errFeedEnds)
					return
				}
			}
		}
	}, update.ErrCompacted)
}

// isLast reports whether no event follows in e's run. One that cannot be read
// may be the last.
func (u *updateAPI) isLast(ctx context.Context, e update.Event) bool {
	if e.Kind != update.EventCorrupt {
		return e.Kind == update.EventEnded
	}
	run, err := u.updates.Get(ctx, e.Run)
	return err == nil && run.State.Done() && !e.Time.Before(run.EndedAt)
}

// told reports whether no event of a run that is done follows after.
func (u *updateAPI) told(ctx context.Context, id string, after int64) bool {
	last := after + 1
	for e, err := range u.updates.Follow(ctx, id) {
		if err != nil {
			return false
		}
		last = e.Seq
	}
	return after >= last
}
