package updatetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

const (
	historyNewest   = "history is newest first even within a millisecond"
	historySelects  = "history selects by package, life and request"
	historyPages    = "history goes on after a run while new ones arrive"
	historyUnselect = "history goes on after a run that is no longer selected"
	historySlowly   = "history may be read slowly and written meanwhile"
)

var historyMutants = []journalMutant{
	{what: "lists the oldest first", caught: historyNewest, wrap: listed(func(_ update.Query, all []update.Run) []update.Run {
		slices.Reverse(all)
		return all
	})},
	{what: "lists by the last save", caught: historyNewest, wrap: listed(func(_ update.Query, all []update.Run) []update.Run {
		slices.SortStableFunc(all, func(a, b update.Run) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
		return all
	})},
	{what: "lists a millisecond by id", caught: historyNewest, wrap: listed(func(_ update.Query, all []update.Run) []update.Run {
		slices.SortFunc(all, func(a, b update.Run) int {
			if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
				return c
			}
			return strings.Compare(b.ID, a.ID)
		})
		return all
	})},
	{what: "lists what has ended", caught: historySelects, wrap: querying(func(q *update.Query) { q.Live = false })},
	{what: "lists every package", caught: historySelects, wrap: querying(func(q *update.Query) { q.Package = "" })},
	{what: "lists every request", caught: historySelects, wrap: querying(func(q *update.Query) { q.RequestID = "" })},
	{what: "lists a package in any case", caught: historySelects, wrap: querying(func(q *update.Query) { q.Package = strings.ToLower(q.Package) })},
	{what: "lists ended runs of a request", caught: historySelects, wrap: querying(func(q *update.Query) { q.Live = q.Live && q.RequestID == "" })},
	{what: "begins every page anew", caught: historyPages, wrap: querying(func(q *update.Query) { q.After = "" })},
	{what: "turns pages by counting", caught: historyPages, wrap: turning},
	{what: "looks for After among the selected", caught: historyUnselect, wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			after := q.After
			q.After = ""
			return func(yield func(update.Run, error) bool) {
				found := after == ""
				for r, err := range j.History(ctx, q) {
					if (found || err != nil) && !yield(r, err) {
						return
					}
					found = found || r.ID == after
				}
			}
		}
	})},
	{what: "begins anew after an unknown run", caught: "history after an unknown run is not found", wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			if _, err := j.Get(ctx, q.After); err != nil {
				q.After = ""
			}
			return j.History(ctx, q)
		}
	})},
	{what: "lists once", caught: "history can be left and read again", wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] { return once(j.History(ctx, q)) }
	})},
	{what: "reads for five seconds at most", caught: historySlowly, wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return func(yield func(update.Run, error) bool) {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				j.History(ctx, q)(yield)
			}
		}
	})},
	{what: "cannot save while it lists", caught: historySlowly, wrap: exclusive},
	{what: "lists after the context", caught: "history yields the context's error last", wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return j.History(context.WithoutCancel(ctx), q)
		}
	})},
	{what: "cuts a list short in silence", caught: "history yields the context's error last", wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return func(yield func(update.Run, error) bool) {
				j.History(ctx, q)(func(r update.Run, err error) bool { return err == nil && yield(r, nil) })
			}
		}
	})},
	{what: "keeps runs in the handle", caught: "two handles see the same runs", again: anotherJournal},
	{what: "keeps tokens in the handle", caught: "two handles overtake each other", again: anotherJournal},
	{what: "keeps events in the handle", caught: "watch sees the events of other handles", again: anotherJournal},
}

// turning goes on after as many runs as came before Query.After at the time.
func turning(j update.Journal) update.Journal {
	places := make(map[string]int)
	return listed(func(q update.Query, all []update.Run) []update.Run {
		place := 0
		if q.After != "" {
			place = places[q.After] + 1
		}
		for i, r := range all[place:] {
			places[r.ID] = place + i
		}
		return all[place:]
	})(j)
}

// exclusive cannot be written while somebody reads a list or the events.
func exclusive(j update.Journal) update.Journal {
	var reading atomic.Int64
	with := func(write writeFunc) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if reading.Load() > 0 {
				return update.Run{}, storage.ErrBusy
			}
			return write(ctx, r, events...)
		}
	}
	return &journal{
		Journal: j, create: with(j.Create), save: with(j.Save),
		history: func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return busy(&reading, j.History(ctx, q))
		},
		watch: func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return busy(&reading, j.Watch(ctx, after))
		},
	}
}

func busy[T any](reading *atomic.Int64, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		reading.Add(1)
		defer reading.Add(-1)
		list(yield)
	}
}

// eachEvent changes every event that a Watch yields.
func eachEvent(f func(*update.Event)) func(update.Journal) update.Journal {
	return watched(func(_ context.Context, _ int, e *update.Event) bool { f(e); return true })
}

const (
	watchOrder   = "watch yields what was written in order"
	watchAfter   = "watch goes on after any event"
	watchWaits   = "watch waits for more"
	watchNothing = "watch loses nothing of many writers"
	watchEnded   = "watch ends with the context's error"
	watchCount   = "events beyond the limit are compacted"
	watchAge     = "old events are compacted"
	watchDefault = "a limit that is not positive is the default"
)

var watchMutants = []journalMutant{
	{what: "numbers no events", caught: watchOrder, wrap: eachEvent(func(e *update.Event) { e.Seq = 1 })},
	{what: "does not say the state", caught: watchOrder, wrap: eachEvent(func(e *update.Event) { e.State = "" })},
	{what: "does not say the phase", caught: watchOrder, wrap: eachEvent(func(e *update.Event) { e.Phase = "" })},
	{what: "does not say how far", caught: watchOrder, wrap: eachEvent(func(e *update.Event) { e.Percent = 0 })},
	{what: "has local times", caught: watchOrder, wrap: eachEvent(func(e *update.Event) { e.Time = e.Time.In(time.FixedZone("", 3600)) })},
	{what: "repeats the event", caught: watchAfter, wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return j.Watch(ctx, max(0, after-1))
		}
	})},
	{what: "waits for the future", caught: "a watch after an event that is not yet there is told so", wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return func(yield func(update.Event, error) bool) {
				for e, err := range j.Watch(ctx, after) {
					if errors.Is(err, update.ErrCompacted) {
						<-ctx.Done()
						err = ctx.Err()
					}
					if !yield(e, err) {
						return
					}
				}
			}
		}
	})},
	{what: "begins with the first event", caught: "a negative watch begins with the next event", wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return j.Watch(ctx, max(0, after))
		}
	})},
	{what: "does not wait", caught: watchWaits, wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			context.AfterFunc(ctx, cancel)
			return j.Watch(ctx, after)
		}
	})},
	{what: "looks every half minute", caught: watchWaits, wrap: watched(func(ctx context.Context, _ int, _ *update.Event) bool {
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
		}
		return true
	})},
	{what: "loses an event", caught: watchNothing, wrap: watched(func(_ context.Context, n int, _ *update.Event) bool { return n != 100 })},
	{what: "ends without an error", caught: watchEnded, wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return func(yield func(update.Event, error) bool) {
				j.Watch(ctx, after)(func(e update.Event, err error) bool { return err == nil && yield(e, nil) })
			}
		}
	})},
	{what: "ends with an error of its own", caught: watchEnded, wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return func(yield func(update.Event, error) bool) {
				for e, err := range j.Watch(ctx, after) {
					if err != nil {
						err = update.ErrClosed
					}
					if !yield(e, err) {
						return
					}
				}
			}
		}
	})},
	{what: "ends an hour late", caught: watchEnded, wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			late, cancel := context.WithCancel(context.WithoutCancel(ctx))
			context.AfterFunc(ctx, func() { time.Sleep(time.Hour); cancel() })
			return j.Watch(late, after)
		}
	})},
	{what: "watches once", caught: "watch can be left and read again", wrap: badWatch(func(j update.Journal) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return once(j.Watch(ctx, after))
		}
	})},
	{what: "cannot save while it watches", caught: "a watcher may use the journal", wrap: exclusive},
	{what: "goes on where it can", caught: watchCount, wrap: badWatch(goesOn)},
	{what: "keeps less than the limit", caught: watchCount, retain: func(r *storage.Retention) { r.Events /= 2 }},
	{what: "keeps all events", caught: watchCount, retain: func(r *storage.Retention) { r.Events = 1 << 30 }},
	{what: "keeps old events", caught: watchAge, retain: func(r *storage.Retention) { r.Age = 1000 * time.Hour }},
	{what: "takes a negative limit for a small one", caught: watchDefault, retain: func(r *storage.Retention) {
		if r.Events < 0 {
			r.Events = 1
		}
	}},
	{what: "takes a negative age for a short one", caught: watchDefault, retain: func(r *storage.Retention) {
		if r.Age < 0 {
			r.Age = 1
		}
	}},
}

// goesOn leaves out the events that are compacted.
func goesOn(j update.Journal) watchFunc {
	return func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
		return func(yield func(update.Event, error) bool) {
			compacted := true
			for compacted {
				compacted = false
				for e, err := range j.Watch(ctx, after) {
					if compacted = errors.Is(err, update.ErrCompacted); compacted {
						after++
						break
					}
					if !yield(e, err) {
						return
					}
				}
			}
		}
	}
}
