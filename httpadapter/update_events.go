package httpadapter

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

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

// over is the id of a compacted that says that a run is done, and that events of
// it are gone: who comes back with it has been told. No event has it, and it is a
// number that JavaScript can hold.
const over = 1<<53 - 1

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
			if after < 0 && u.done(ctx, id) { // while that was told of which events are gone
				yield(web.Event{}, web.ErrFeedEnds)
				return
			}
			for e, err := range u.updates.Watch(ctx, after) {
				if errors.Is(err, update.ErrCompacted) && u.done(ctx, id) { // of a live run, Stream tells
					if yield(web.Event{ID: over, Name: "compacted", Data: web.Compacted{After: after}}, nil) {
						yield(web.Event{}, web.ErrFeedEnds)
					}
					return
				}
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

func (u *updateRoutes) done(ctx context.Context, id string) bool {
	run, err := u.updates.Get(ctx, id)
	return err == nil && run.State.Done()
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
	if after == over {
		return true
	}
	last := after + 1
	for e, err := range u.updates.Follow(ctx, id) {
		switch {
		case errors.Is(err, update.ErrCompacted):
			return u.ends(ctx, id, after)
		case err != nil:
			return false
		}
		last = e.Seq
	}
	return after >= last
}

// ends reports whether the event with this seq is kept and the last of a run. It
// does not wait for one that is still to come.
func (u *updateRoutes) ends(ctx context.Context, id string, seq int64) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for e, err := range u.updates.Watch(ctx, seq-1) {
		return err == nil && e.Run == id && u.isLast(ctx, e)
	}
	return false
}
