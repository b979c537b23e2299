package rollouttest_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/rollout"
)

const (
	historySelects = "history selects by service, life, state and request"
	historySlowly  = "history may be read slowly and written meanwhile"
	historyEnds    = "history yields the context's error last"
	servicesOrder  = "services are listed by environment and name"
	servicesSlowly = "services may be read slowly and written meanwhile"
)

var historyMutants = []mutant{
	{What: "lists the oldest first", Caught: "history is newest first even within a millisecond",
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			return sorted(s.History(ctx, q), slices.Reverse[[]rollout.Run])
		})},
	{What: "lists every service", Caught: historySelects, Wrap: querying(func(q *rollout.Query) { q.Service = rollout.ServiceID{} })},
	{What: "lists what has ended", Caught: historySelects, Wrap: querying(func(q *rollout.Query) { q.Live = false })},
	{What: "lists every state", Caught: historySelects, Wrap: querying(func(q *rollout.Query) { q.State = "" })},
	{What: "lists every request", Caught: historySelects, Wrap: querying(func(q *rollout.Query) { q.RequestID = "" })},
	{What: "begins every page anew", Caught: "history goes on after a run while new ones arrive", Wrap: querying(func(q *rollout.Query) { q.After = "" })},
	{What: "looks for After among the selected", Caught: "history goes on after a run that is no longer selected",
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			after := q.After
			q.After = ""
			found := after == ""
			return provetest.Each(s.History(ctx, q), func(_ int, r *rollout.Run) bool {
				was := found
				found = found || r.ID == after
				return was
			})
		})},
	{What: "begins anew after an unknown run", Caught: "history after an unknown run is not found",
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			if _, err := s.Get(ctx, q.After); err != nil {
				q.After = ""
			}
			return s.History(ctx, q)
		})},
	{What: "lists once", Caught: "history can be left and read again",
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			return provetest.Once(s.History(ctx, q))
		})},
	{What: "reads for five seconds at most", Caught: historySlowly,
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			return forSeconds(ctx, func(ctx context.Context) iter.Seq2[rollout.Run, error] { return s.History(ctx, q) })
		})},
	{What: "lists after the context", Caught: historyEnds,
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			return s.History(context.WithoutCancel(ctx), q)
		})},
	{What: "cuts a list short in silence", Caught: historyEnds,
		Wrap: listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
			return provetest.Cut(s.History(ctx, q))
		})},
	{What: "lists services by name", Caught: servicesOrder,
		Wrap: listingServices(func(s rollout.RunStore, ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
			return sorted(s.Services(ctx, q), func(all []rollout.Service) {
				slices.SortStableFunc(all, func(a, b rollout.Service) int { return strings.Compare(a.ID.Name, b.ID.Name) })
			})
		})},
	{What: "lists every environment", Caught: servicesOrder,
		Wrap: listingServices(func(s rollout.RunStore, ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
			return s.Services(ctx, rollout.ServiceQuery{After: q.After})
		})},
	{What: "begins every page of services anew", Caught: servicesOrder,
		Wrap: listingServices(func(s rollout.RunStore, ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
			return s.Services(ctx, rollout.ServiceQuery{Env: q.Env})
		})},
	{What: "reads services for five seconds at most", Caught: servicesSlowly,
		Wrap: listingServices(func(s rollout.RunStore, ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
			return forSeconds(ctx, func(ctx context.Context) iter.Seq2[rollout.Service, error] { return s.Services(ctx, q) })
		})},
	{What: "lists services after the context", Caught: servicesSlowly,
		Wrap: listingServices(func(s rollout.RunStore, ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
			return s.Services(context.WithoutCancel(ctx), q)
		})},
}

// forSeconds reads a list for five seconds.
func forSeconds[T any](ctx context.Context, list func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		list(ctx)(yield)
	}
}
