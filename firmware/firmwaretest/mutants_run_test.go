package firmwaretest_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const (
	runTimes   = "a run has the engine's times"
	runEnd     = "a run has an end exactly when it is done"
	runFirst   = "a run knows its first event"
	runRequest = "a request begins one run"
	runPlace   = "a run keeps its place, whatever the record shows"
	runUnknown = "an unknown run is not found"
)

var runMutants = []mutant{
	{What: "makes up an id", Caught: "a run needs an id", Wrap: ofRun(func(r *firmware.Run) { r.ID = cmp.Or(r.ID, "new") })},
	{What: "takes the caller's times", Caught: runTimes, Wrap: answeredRun(func(r firmware.Run, a *firmware.Run) { a.CreatedAt = r.CreatedAt })},
	{What: "takes the caller's end", Caught: runTimes, Wrap: answeredRun(func(r firmware.Run, a *firmware.Run) { a.EndedAt = r.EndedAt })},
	{What: "does not renew UpdatedAt", Caught: runTimes, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) { a.UpdatedAt = a.CreatedAt })},
	{What: "has local times", Caught: runTimes, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) {
		a.CreatedAt = a.CreatedAt.In(time.FixedZone("", 3600))
	})},
	{What: "never ends a run", Caught: runEnd, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) { a.EndedAt = time.Time{} })},
	{What: "ends a run again", Caught: runEnd, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) {
		if a.State.Done() {
			a.EndedAt = a.UpdatedAt
		}
	})},
	{What: "ends a run on trial", Caught: runEnd, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) {
		if a.State == firmware.StateTrial {
			a.EndedAt = a.UpdatedAt
		}
	})},
	{What: "knows the event before", Caught: runFirst, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) { a.Seq = max(a.Seq-1, 0) })},
	{What: "makes up a first event", Caught: runFirst, Wrap: answeredRun(func(_ firmware.Run, a *firmware.Run) { a.Seq = max(a.Seq, 1) })},
	{What: "believes who writes", Caught: runFirst, Wrap: answered(func(r firmware.Record, a *firmware.Record) {
		if r.Run != nil && r.Run.Seq == 99 && r.Run.Percent == 0 {
			a.Run.Seq = r.Run.Seq
		}
	})},
	{What: "forgets the first event", Caught: runFirst, Wrap: getting(func(d firmware.DeviceStore) getFunc {
		return func(ctx context.Context, id string) (firmware.Run, error) {
			r, err := d.Get(ctx, id)
			r.Seq = 0
			return r, err
		}
	})},
	{What: "changes the request", Caught: "a save never changes what a run was asked", Wrap: answeredRun(func(r firmware.Run, a *firmware.Run) {
		a.Request = r.Request
	})},
	{What: "lets a request begin two runs", Caught: runRequest, Wrap: forgiving(firmware.ErrExists)},
	{What: "repeats requests that are over", Caught: runRequest, Wrap: requests(func(first, r firmware.Run) bool {
		return !first.State.Done() && first.Request.By.RequestID == r.Request.By.RequestID && r.Request.By.RequestID != ""
	})},
	{What: "takes no request for one", Caught: runRequest, Wrap: ofRun(func(r *firmware.Run) {
		r.Request.By.RequestID = cmp.Or(r.Request.By.RequestID, "none")
	})},
	{What: "takes requests in any case", Caught: runRequest, Wrap: ofRun(func(r *firmware.Run) {
		r.Request.By.RequestID = strings.ToLower(r.Request.By.RequestID)
	})},
	{What: "refuses a run of its own request", Caught: runRequest, Wrap: saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			if r.Run != nil && r.Run.Request.By.RequestID != "" {
				if _, err := d.Get(ctx, r.Run.ID); err == nil {
					return firmware.Record{}, firmware.ErrExists
				}
			}
			return d.Save(ctx, r, events...)
		}
	})},
	{What: "lists the run that the record shows first", Caught: runPlace, Wrap: listed(func(_ firmware.Query, all []firmware.Run) []firmware.Run {
		slices.SortStableFunc(all, func(a, b firmware.Run) int { return b.Percent - a.Percent })
		return all
	})},
	{What: "gives every event a state", Caught: runPlace, Wrap: feed.Each(func(_ context.Context, _ int, e *firmware.Event) bool {
		e.State = cmp.Or(e.State, firmware.StateRunning)
		return true
	})},
	{What: "finds what is not there", Caught: runUnknown, Wrap: getting(func(d firmware.DeviceStore) getFunc {
		return func(ctx context.Context, id string) (firmware.Run, error) {
			r, err := d.Get(ctx, id)
			if errors.Is(err, firmware.ErrNotFound) {
				return firmware.Run{}, nil
			}
			return r, err
		}
	})},
	{What: "finds ids in any case", Caught: runUnknown, Wrap: getting(func(d firmware.DeviceStore) getFunc {
		return func(ctx context.Context, id string) (firmware.Run, error) { return d.Get(ctx, strings.ToLower(id)) }
	})},
}

const (
	historyNewest   = "history is newest first even within a millisecond"
	historySelects  = "history selects by life and request"
	historyPages    = "history goes on after a run while new ones arrive"
	historyUnselect = "history goes on after a run that is no longer selected"
	historyUnknown  = "history after an unknown run is not found"
	historySlowly   = "history may be read slowly and written meanwhile"
	historyEnds     = "history yields the context's error last"
)

var historyMutants = []mutant{
	{What: "lists the oldest first", Caught: historyNewest, Wrap: listed(func(_ firmware.Query, all []firmware.Run) []firmware.Run {
		slices.Reverse(all)
		return all
	})},
	{What: "lists by the last save", Caught: historyNewest, Wrap: listed(func(_ firmware.Query, all []firmware.Run) []firmware.Run {
		slices.SortStableFunc(all, func(a, b firmware.Run) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
		return all
	})},
	{What: "lists a millisecond by id", Caught: historyNewest, Wrap: listed(func(_ firmware.Query, all []firmware.Run) []firmware.Run {
		slices.SortFunc(all, func(a, b firmware.Run) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
		})
		return all
	})},
	{What: "lists what has ended", Caught: historySelects, Wrap: querying(func(q *firmware.Query) { q.Live = false })},
	{What: "lists every request", Caught: historySelects, Wrap: querying(func(q *firmware.Query) { q.RequestID = "" })},
	{What: "lists ended runs of a request", Caught: historySelects, Wrap: querying(func(q *firmware.Query) { q.Live = q.Live && q.RequestID == "" })},
	{What: "begins every page anew", Caught: historyPages, Wrap: querying(func(q *firmware.Query) { q.After = "" })},
	{What: "turns pages by counting", Caught: historyPages, Wrap: turning},
	{What: "looks for After among the selected", Caught: historyUnselect, Wrap: listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			after := q.After
			q.After = ""
			return func(yield func(firmware.Run, error) bool) {
				found := after == ""
				for r, err := range d.History(ctx, q) {
					if (found || err != nil) && !yield(r, err) {
						return
					}
					found = found || r.ID == after
				}
			}
		}
	})},
	{What: "begins anew after an unknown run", Caught: historyUnknown, Wrap: listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			if _, err := d.Get(ctx, q.After); err != nil {
				q.After = ""
			}
			return d.History(ctx, q)
		}
	})},
	{What: "lists once", Caught: "history can be left and read again", Wrap: listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			return provetest.Once(d.History(ctx, q))
		}
	})},
	{What: "reads for five seconds at most", Caught: historySlowly, Wrap: listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			return func(yield func(firmware.Run, error) bool) {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				d.History(ctx, q)(yield)
			}
		}
	})},
	{What: "cannot save while it lists", Caught: historySlowly, Wrap: exclusive},
	{What: "lists after the context", Caught: historyEnds, Wrap: listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			return d.History(context.WithoutCancel(ctx), q)
		}
	})},
	{What: "cuts a list short in silence", Caught: historyEnds, Wrap: listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			return provetest.Cut(d.History(ctx, q))
		}
	})},
	{What: "keeps records in the handle", Caught: "two handles see the same device", Again: another},
	{What: "keeps revs in the handle", Caught: "two handles overtake each other", Again: another},
	{What: "keeps events in the handle", Caught: "watch sees the events of other handles", Again: another},
}

func another(firmware.Store) firmware.Store { return memory.New() }

// turning goes on after as many runs as came before Query.After at the time.
func turning(s firmware.Store) firmware.Store {
	places := make(map[string]int)
	return listed(func(q firmware.Query, all []firmware.Run) []firmware.Run {
		place := 0
		if q.After != "" {
			place = places[q.After] + 1
		}
		for i, r := range all[place:] {
			places[r.ID] = place + i
		}
		return all[place:]
	})(s)
}

// exclusive cannot be written while somebody reads a list or the events.
func exclusive(s firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore {
		var reading atomic.Int64
		return &device{
			DeviceStore: d,
			save: func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
				if reading.Load() > 0 {
					return firmware.Record{}, storage.ErrBusy
				}
				return d.Save(ctx, r, events...)
			},
			history: func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
				return provetest.Counted(&reading, d.History(ctx, q))
			},
			watch: func(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
				return provetest.Counted(&reading, d.Watch(ctx, after))
			},
		}
	})(s)
}
