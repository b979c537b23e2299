package updatetest_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
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

var historyMutants = []mutant{
	{What: "lists the oldest first", Caught: historyNewest, Wrap: listed(func(_ update.Query, all []update.Run) []update.Run {
		slices.Reverse(all)
		return all
	})},
	{What: "lists by the last save", Caught: historyNewest, Wrap: listed(func(_ update.Query, all []update.Run) []update.Run {
		slices.SortStableFunc(all, func(a, b update.Run) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
		return all
	})},
	{What: "lists a millisecond by id", Caught: historyNewest, Wrap: listed(func(_ update.Query, all []update.Run) []update.Run {
		slices.SortFunc(all, func(a, b update.Run) int {
			if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
				return c
			}
			return strings.Compare(b.ID, a.ID)
		})
		return all
	})},
	{What: "lists what has ended", Caught: historySelects, Wrap: querying(func(q *update.Query) { q.Live = false })},
	{What: "lists every package", Caught: historySelects, Wrap: querying(func(q *update.Query) { q.Package = "" })},
	{What: "lists every request", Caught: historySelects, Wrap: querying(func(q *update.Query) { q.RequestID = "" })},
	{What: "lists a package in any case", Caught: historySelects, Wrap: querying(func(q *update.Query) { q.Package = strings.ToLower(q.Package) })},
	{What: "lists ended runs of a request", Caught: historySelects, Wrap: querying(func(q *update.Query) { q.Live = q.Live && q.RequestID == "" })},
	{What: "begins every page anew", Caught: historyPages, Wrap: querying(func(q *update.Query) { q.After = "" })},
	{What: "turns pages by counting", Caught: historyPages, Wrap: turning},
	{What: "looks for After among the selected", Caught: historyUnselect, Wrap: badHistory(func(j update.Journal) historyFunc {
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
	{What: "begins anew after an unknown run", Caught: "history after an unknown run is not found", Wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			if _, err := j.Get(ctx, q.After); err != nil {
				q.After = ""
			}
			return j.History(ctx, q)
		}
	})},
	{What: "lists once", Caught: "history can be left and read again", Wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return provetest.Once(j.History(ctx, q))
		}
	})},
	{What: "reads for five seconds at most", Caught: historySlowly, Wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return func(yield func(update.Run, error) bool) {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				j.History(ctx, q)(yield)
			}
		}
	})},
	{What: "cannot save while it lists", Caught: historySlowly, Wrap: exclusive},
	{What: "lists after the context", Caught: "history yields the context's error last", Wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return j.History(context.WithoutCancel(ctx), q)
		}
	})},
	{What: "cuts a list short in silence", Caught: "history yields the context's error last", Wrap: badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return provetest.Cut(j.History(ctx, q))
		}
	})},
	{What: "keeps runs in the handle", Caught: "two handles see the same runs", Again: anotherJournal},
	{What: "keeps tokens in the handle", Caught: "two handles overtake each other", Again: anotherJournal},
	{What: "keeps events in the handle", Caught: "watch sees the events of other handles", Again: anotherJournal},
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
			return provetest.Counted(&reading, j.History(ctx, q))
		},
		watch: func(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
			return provetest.Counted(&reading, j.Watch(ctx, after))
		},
	}
}

// eachEvent changes every event that a Watch yields.
func eachEvent(f func(*update.Event)) func(update.Journal) update.Journal {
	return feed.Each(func(_ context.Context, _ int, e *update.Event) bool { f(e); return true })
}

const watchOrder = "watch yields what was written in order"

var watchMutants = []mutant{
	{What: "numbers no events", Caught: watchOrder, Wrap: eachEvent(func(e *update.Event) { e.Seq = 1 })},
	{What: "does not say the state", Caught: watchOrder, Wrap: eachEvent(func(e *update.Event) { e.State = "" })},
	{What: "does not say the phase", Caught: watchOrder, Wrap: eachEvent(func(e *update.Event) { e.Phase = "" })},
	{What: "does not say how far", Caught: watchOrder, Wrap: eachEvent(func(e *update.Event) { e.Percent = 0 })},
	{What: "has local times", Caught: watchOrder, Wrap: eachEvent(func(e *update.Event) { e.Time = e.Time.In(time.FixedZone("", 3600)) })},
	{What: "cannot save while it watches", Caught: "a watcher may use the store", Wrap: exclusive},
}
