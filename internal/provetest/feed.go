package provetest

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Feed is what is needed to break the Watch of the stores S, whose events are
// E.
type Feed[S, E any] struct {
	Watch     func(s S, ctx context.Context, after int64) iter.Seq2[E, error] // the method of S
	Bad       func(func(sound S) WatchOf[E]) func(S) S                        // replaces it
	Compacted error                                                           // the domain's
}

// WatchOf is the Watch of a store.
type WatchOf[E any] = func(ctx context.Context, after int64) iter.Seq2[E, error]

// Broken are the engines that break the promises of every Watch.
func (f Feed[S, E]) Broken() []Broken[S] {
	const (
		waits     = "watch waits for more"
		ends      = "watch ends with the context's error"
		count     = "events beyond the limit are compacted"
		byDefault = "a limit that is not positive is the default"
	)
	return []Broken[S]{
		{What: "repeats the event before", Caught: "watch goes on after any event", Wrap: f.asking(func(after int64) int64 { return max(0, after-1) })},
		{What: "waits for the future", Caught: "a watch after an event that is not yet there is told so", Unnoted: true,
			Wrap: f.failing(func(ctx context.Context, err error) error {
				if errors.Is(err, f.Compacted) {
					<-ctx.Done()
					return ctx.Err()
				}
				return err
			})},
		{What: "begins with the first event", Caught: "a negative watch begins with the next event", Unnoted: true,
			Wrap: f.asking(func(after int64) int64 { return max(0, after) })},
		{What: "does not wait", Caught: waits, Unnoted: true, Wrap: f.during(func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			context.AfterFunc(ctx, cancel)
			return ctx
		})},
		{What: "looks every half minute", Caught: waits, Unnoted: true, Wrap: f.Each(func(ctx context.Context, _ int, _ *E) bool {
			select {
			case <-time.After(30 * time.Second):
			case <-ctx.Done():
			}
			return true
		})},
		{What: "loses an event", Caught: "watch loses nothing of many writers", Unnoted: true,
			Wrap: f.Each(func(_ context.Context, n int, _ *E) bool { return n != 100 })},
		{What: "ends without an error", Caught: ends, Unnoted: true, Wrap: f.listing(Cut[E])},
		{What: "ends with an error of its own", Caught: ends, Unnoted: true, Wrap: f.failing(func(context.Context, error) error {
			return errors.New("closed")
		})},
		{What: "ends an hour late", Caught: ends, Unnoted: true, Wrap: f.during(func(ctx context.Context) context.Context {
			late, cancel := context.WithCancel(context.WithoutCancel(ctx))
			context.AfterFunc(ctx, func() { time.Sleep(time.Hour); cancel() })
			return late
		})},
		{What: "watches once", Caught: "watch can be left and read again", Unnoted: true, Wrap: f.listing(Once[E])},
		{What: "goes on where it can", Caught: count, Unnoted: true, Wrap: f.Bad(f.goesOn)},
		{What: "keeps less than the limit", Caught: count, Unnoted: true, Retain: func(events *int, _ *time.Duration) { *events /= 2 }},
		{What: "keeps all events", Caught: count, Unnoted: true, Retain: func(events *int, _ *time.Duration) { *events = 1 << 30 }},
		{What: "keeps old events", Caught: "old events are compacted", Unnoted: true,
			Retain: func(_ *int, age *time.Duration) { *age = 1000 * time.Hour }},
		{What: "takes a negative limit for a small one", Caught: byDefault, Unnoted: true, Retain: func(events *int, _ *time.Duration) {
			if *events < 0 {
				*events = 1
			}
		}},
		{What: "takes a negative age for a short one", Caught: byDefault, Unnoted: true, Retain: func(_ *int, age *time.Duration) {
			if *age < 0 {
				*age = 1
			}
		}},
	}
}

// Each changes every event that Watch yields, which count from 1, or drops it.
func (f Feed[S, E]) Each(keep func(ctx context.Context, n int, e *E) bool) func(S) S {
	return f.Bad(func(s S) WatchOf[E] {
		return func(ctx context.Context, after int64) iter.Seq2[E, error] {
			return Each(f.Watch(s, ctx, after), func(n int, e *E) bool { return keep(ctx, n, e) })
		}
	})
}

// asking changes after what is asked for.
func (f Feed[S, E]) asking(change func(after int64) int64) func(S) S {
	return f.Bad(func(s S) WatchOf[E] {
		return func(ctx context.Context, after int64) iter.Seq2[E, error] { return f.Watch(s, ctx, change(after)) }
	})
}

// during changes the context.
func (f Feed[S, E]) during(change func(context.Context) context.Context) func(S) S {
	return f.Bad(func(s S) WatchOf[E] {
		return func(ctx context.Context, after int64) iter.Seq2[E, error] { return f.Watch(s, change(ctx), after) }
	})
}

// listing changes the list.
func (f Feed[S, E]) listing(change func(iter.Seq2[E, error]) iter.Seq2[E, error]) func(S) S {
	return f.Bad(func(s S) WatchOf[E] {
		return func(ctx context.Context, after int64) iter.Seq2[E, error] { return change(f.Watch(s, ctx, after)) }
	})
}

// failing changes the last error.
func (f Feed[S, E]) failing(change func(context.Context, error) error) func(S) S {
	return f.Bad(func(s S) WatchOf[E] {
		return func(ctx context.Context, after int64) iter.Seq2[E, error] {
			return func(yield func(E, error) bool) {
				for e, err := range f.Watch(s, ctx, after) {
					if err != nil {
						err = change(ctx, err)
					}
					if !yield(e, err) {
						return
					}
				}
			}
		}
	})
}

// goesOn leaves out the events that are compacted.
func (f Feed[S, E]) goesOn(s S) WatchOf[E] {
	return func(ctx context.Context, after int64) iter.Seq2[E, error] {
		return func(yield func(E, error) bool) {
			for compacted := true; compacted; after++ {
				compacted = false
				for e, err := range f.Watch(s, ctx, after) {
					if compacted = errors.Is(err, f.Compacted); compacted {
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
