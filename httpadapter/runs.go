package httpadapter

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

const maxRuns = 100 // of a page

// runRoutes serves the runs of a domain and what happens to them. R is a run, W
// what is shown of one, and E an event.
type runRoutes[R any, W shownRun, E any] struct {
	path      string // of the list, with Config.Prefix
	service   runService[R, E]
	facts     func(*R) runFacts
	show      func(*web.Call, R) W
	tell      func(E) runEvent
	corrupt   error // the domain's, of a run that cannot be read
	compacted error // the domain's, of events that are gone
}

type runService[R, E any] interface {
	Get(ctx context.Context, id string) (R, error)
	Watch(ctx context.Context, after int64) iter.Seq2[E, error]
	Follow(ctx context.Context, id string) iter.Seq2[E, error]
}

// runFacts are what is asked of every run.
type runFacts struct {
	id      string
	seq     int64 // of its first event
	done    bool
	endedAt time.Time
	reason  *string // where it stands
}

// shownRun is a run as it is shown.
type shownRun interface{ runID() string }

// runEvent is an event, and what is asked of every one.
type runEvent struct {
	web.Event        // as it is told to who may know all of it
	outline   any    // Data as others are told it; nil: not at all
	run       string // "" for none
	at        time.Time
	ended     bool // the last of its run
	corrupt   bool // that cannot be read: it may be
}

// shown is the event as a caller is told it; one that is passed over has no name.
func (e runEvent) shown(details bool) web.Event {
	switch {
	case details:
	case e.outline == nil:
		e.Name = ""
	default:
		e.Data = e.outline
	}
	return e.Event
}

// accepted answers with a run that goes on in the background, unless it could not
// begin.
func (r *runRoutes[R, W, E]) accepted(c *web.Call, run R, err error) error {
	if err != nil {
		return err
	}
	c.Header().Set("Location", r.path+"/"+url.PathEscape(r.facts(&run).id))
	return c.Reply(http.StatusAccepted, r.show(c, run))
}

// wished answers with the run of which something was wished, unless err says that
// it was not.
func (r *runRoutes[R, W, E]) wished(c *web.Call, id string, err error) error {
	if err != nil {
		return err
	}
	run, err := r.service.Get(c.Context(), id)
	return r.accepted(c, run, err)
}

func (r *runRoutes[R, W, E]) one(c *web.Call) error {
	run, err := r.service.Get(c.Context(), c.ID("id"))
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, r.show(c, run))
}

// list answers with a page of a history.
func (r *runRoutes[R, W, E]) list(c *web.Call, history func(live bool, after string) iter.Seq2[R, error]) error {
	live, err := c.Flag("live")
	if err != nil {
		return err
	}
	limit, err := c.Limit(maxRuns)
	if err != nil {
		return err
	}
	return web.Page(c, "runs", limit, web.Map(history(live, c.Query.Get("after")), func(run R, err error) (W, error) {
		if f := r.facts(&run); f.id != "" && errors.Is(err, r.corrupt) {
			*f.reason, err = "the record is damaged", nil
		}
		return r.show(c, run), err
	}), W.runID)
}

// listQuery and eventsQuery are what can be asked of list and of events.
var (
	listQuery = []web.Field{
		web.Truth("live", "only those that are not done"), web.Text("after", "continue after the run with this id"),
		web.Whole("limit", "at most so many, and never more than 100; default 50", 1),
	}
	eventsQuery = web.Text("run", "only the events of this run, from its first if after is not given; the stream ends with them, and then has no content")
)

// events streams what happens, to one run or to all.
func (r *runRoutes[R, W, E]) events(c *web.Call) error {
	after, err := c.ResumeAt()
	if err != nil {
		return err
	}
	if c.Query.Has("run") {
		return r.eventsOf(c, c.Query.Get("run"), after)
	}
	details := details(c)
	return c.Stream(after, func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
		return web.Map(r.service.Watch(ctx, after), func(e E, err error) (web.Event, error) {
			return r.tell(e).shown(details), err
		})
	}, r.compacted)
}

// over is the id of a compacted that says that a run is done, and that events of
// it are gone: who comes back with it has been told. No event has it, and it is a
// number that JavaScript can hold.
const over = 1<<53 - 1

// eventsOf streams the events of one run that follow after, and ends with the
// run. Once there are none any more it answers with no content, at which an
// EventSource does not come back.
func (r *runRoutes[R, W, E]) eventsOf(c *web.Call, id string, after int64) error {
	run, err := r.service.Get(c.Context(), id)
	if err != nil {
		return err
	}
	f := r.facts(&run)
	if f.done && after >= f.seq && r.told(c.Context(), id, after) {
		return c.Reply(http.StatusNoContent, nil)
	}
	details := details(c)
	return c.Stream(max(after, f.seq-1, 0), func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
		return func(yield func(web.Event, error) bool) {
			if after < 0 && r.done(ctx, id) { // while that was told of which events are gone
				yield(web.Event{}, web.ErrFeedEnds)
				return
			}
			for e, err := range r.service.Watch(ctx, after) {
				if errors.Is(err, r.compacted) && r.done(ctx, id) { // of a live run, Stream tells
					if yield(web.Event{ID: over, Name: "compacted", Data: web.Compacted{After: after}}, nil) {
						yield(web.Event{}, web.ErrFeedEnds)
					}
					return
				}
				told := r.tell(e)
				next := told.shown(details)
				if told.run != id {
					next.Name = "" // passed over
				}
				if !yield(next, err) {
					return
				}
				if told.run == id && r.isLast(ctx, told) {
					yield(web.Event{}, web.ErrFeedEnds)
					return
				}
			}
		}
	}, r.compacted)
}

func (r *runRoutes[R, W, E]) done(ctx context.Context, id string) bool {
	run, err := r.service.Get(ctx, id)
	return err == nil && r.facts(&run).done
}

// isLast reports whether no event follows in e's run. One that cannot be read
// may be the last.
func (r *runRoutes[R, W, E]) isLast(ctx context.Context, e runEvent) bool {
	if !e.corrupt {
		return e.ended
	}
	run, err := r.service.Get(ctx, e.run)
	f := r.facts(&run)
	return err == nil && f.done && !e.at.Before(f.endedAt)
}

// told reports whether no event of a run that is done follows after.
func (r *runRoutes[R, W, E]) told(ctx context.Context, id string, after int64) bool {
	if after == over {
		return true
	}
	last := after + 1
	for e, err := range r.service.Follow(ctx, id) {
		switch {
		case errors.Is(err, r.compacted):
			return r.ends(ctx, id, after)
		case err != nil:
			return false
		}
		last = r.tell(e).ID
	}
	return after >= last
}

// ends reports whether the event with this seq is kept and the last of a run. It
// does not wait for one that is still to come.
func (r *runRoutes[R, W, E]) ends(ctx context.Context, id string, seq int64) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for e, err := range r.service.Watch(ctx, seq-1) {
		told := r.tell(e)
		return err == nil && told.run == id && r.isLast(ctx, told)
	}
	return false
}
