package httpadapter

import (
	"context"
	"iter"
	"net/http"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/update"
)

// events streams the journal. The output of steps is for admins.
func (u *updateRoutes) events(c *web.Call) error {
	after, err := c.ResumeAt()
	if err != nil {
		return err
	}
	if c.Query.Has("run") {
		return u.eventsOf(c, c.Query.Get("run"), after)
	}
	details := details(c)
	return c.Stream(after, func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
		return func(yield func(web.Event, error) bool) {
			for e, err := range u.updates.Watch(ctx, after) {
				if !yield(eventOf(e, details), err) {
					return
				}
			}
		}
	}, update.ErrCompacted)
}

func eventOf(e update.Event, details bool) web.Event {
	name := string(e.Kind)
	if !details {
		e.Message = ""
		if e.Kind == update.EventLog {
			name = "" // passed over
		}
	}
	return web.Event{ID: e.Seq, Name: name, Data: eventReply(e)}
}

// eventsOf streams the events of one run that follow after, and ends with the
// run. Once there are none any more it answers with no content, at which an
// EventSource does not come back.
func (u *updateRoutes) eventsOf(c *web.Call, id string, after int64) error {
	run, err := u.updates.Get(c.Context(), id)
	if err != nil {
		return err
	}
	if run.State.Done() && after >= run.Seq && u.told(c.Context(), id, after) {
		return c.Reply(http.StatusNoContent, nil)
	}
	details := details(c)
	return c.Stream(max(after, run.Seq-1, 0), func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
		return func(yield func(web.Event, error) bool) {
			if after < 0 { // compacted: what is missing is to be read anew
				yield(web.Event{}, web.ErrFeedEnds)
				return
			}
			for e, err := range u.updates.Watch(ctx, after) {
				next := eventOf(e, details)
				if e.Run != id {
					next.Name = "" // passed over
				}
				if !yield(next, err) {
					return
				}
				if e.Run == id && u.isLast(ctx, e) {
					yield(web.Event{}, web.ErrFeedEnds)
					return
				}
			}
		}
	}, update.ErrCompacted)
}

// isLast reports whether no event follows in e's run. One that cannot be read
// may be the last.
func (u *updateRoutes) isLast(ctx context.Context, e update.Event) bool {
	if e.Kind != update.EventCorrupt {
		return e.Kind == update.EventEnded
	}
	run, err := u.updates.Get(ctx, e.Run)
	return err == nil && run.State.Done() && !e.Time.Before(run.EndedAt)
}

// told reports whether no event of a run that is done follows after.
func (u *updateRoutes) told(ctx context.Context, id string, after int64) bool {
	last := after + 1
	for e, err := range u.updates.Follow(ctx, id) {
		if err != nil {
			return false
		}
		last = e.Seq
	}
	return after >= last
}
