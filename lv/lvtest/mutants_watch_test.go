package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const (
	watchSays    = "events say what has changed"
	watchAfter   = "watch goes on after any event"
	watchWaits   = "watch waits for more"
	watchNothing = "watch loses nothing of many writers"
	watchEnded   = "watch ends with the context's error"
	watchReplays = "events after any moment lead from then to now"
	watchCount   = "events beyond the limit are compacted"
	watchAge     = "old events are compacted"
	watchDefault = "a limit that is not positive is the default"
)

// eachMoved changes every row of every event that Watch yields.
func eachMoved(kind lv.EventKind, change func(m *lv.Moved)) breaking {
	return eachEvent(func(_ context.Context, _ int, e *lv.Event) bool {
		for i := range e.Rows {
			if e.Kind == kind {
				change(&e.Rows[i])
			}
		}
		return true
	})
}

func anotherStore(lv.VersionStore) lv.VersionStore { return memory.New().Versions() }

var watchMutants = []mutant{
	{what: "numbers no events", caught: watchSays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool { e.Seq = 1; return true })},
	{what: "does not say who", caught: watchSays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool { e.Actor = ""; return true })},
	{what: "does not say which release", caught: watchSays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool { e.Release = 0; return true })},
	{what: "does not say where", caught: watchSays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool { e.Env = ""; return true })},
	{what: "has local times", caught: watchSays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool {
		e.Time = e.Time.In(time.FixedZone("", 3600))
		return true
	})},
	{what: "does not say what was there", caught: watchSays, wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.From = 0 })},
	{what: "does not say what was saved", caught: watchSays, wrap: eachMoved(lv.EventSaved, func(m *lv.Moved) { m.Content = nil })},
	{what: "does not say when a row was made", caught: watchSays, wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.CreatedAt = m.UpdatedAt })},
	{what: "tells of every change of a release", caught: watchSays, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return each(s.Watch(ctx, after), func(_ int, e *lv.Event) bool {
				for _, r := range items(s.Releases(ctx, e.Table, lv.Query{})) {
					if e.Kind == lv.EventReleased && r.ID == e.Release {
						for _, c := range r.Changes {
							if c.From == c.To {
								e.Rows = append(e.Rows, lv.Moved{Row: c.Row, From: c.From, To: c.To})
							}
						}
					}
				}
				return true
			})
		}
	})},
	{what: "tells of no plans", caught: watchSays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool { return e.Kind != lv.EventDraft })},
	{what: "repeats the event before", caught: watchAfter, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return s.Watch(ctx, max(0, after-1))
		}
	})},
	{what: "waits for the future", caught: "a watch after an event that is not yet there is told so", unnoted: true, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return func(yield func(lv.Event, error) bool) {
				for e, err := range s.Watch(ctx, after) {
					if errors.Is(err, lv.ErrCompacted) {
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
	{what: "does not wait", caught: watchWaits, unnoted: true, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			context.AfterFunc(ctx, cancel)
			return s.Watch(ctx, after)
		}
	})},
	{what: "looks every half minute", caught: watchWaits, unnoted: true, wrap: eachEvent(func(ctx context.Context, _ int, _ *lv.Event) bool {
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
		}
		return true
	})},
	{what: "loses an event", caught: watchNothing, unnoted: true, wrap: eachEvent(func(_ context.Context, n int, _ *lv.Event) bool { return n != 100 })},
	{what: "ends without an error", caught: watchEnded, unnoted: true, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return func(yield func(lv.Event, error) bool) {
				s.Watch(ctx, after)(func(e lv.Event, err error) bool { return err == nil && yield(e, nil) })
			}
		}
	})},
	{what: "ends with an error of its own", caught: watchEnded, unnoted: true, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return func(yield func(lv.Event, error) bool) {
				s.Watch(ctx, after)(func(e lv.Event, err error) bool {
					if err != nil {
						err = storage.ErrClosed
					}
					return yield(e, err)
				})
			}
		}
	})},
	{what: "ends an hour late", caught: watchEnded, unnoted: true, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			late, cancel := context.WithCancel(context.WithoutCancel(ctx))
			context.AfterFunc(ctx, func() { time.Sleep(time.Hour); cancel() })
			return s.Watch(late, after)
		}
	})},
	{what: "watches once", caught: "watch can be left and read again", unnoted: true, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] { return once(s.Watch(ctx, after)) }
	})},
	{what: "cannot write while it watches", caught: "a watcher may use the store", unnoted: true, wrap: exclusive},
	{what: "does not say what was released", caught: watchReplays, wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.Content = nil })},
	{what: "tells of no resets", caught: watchReplays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool {
		e.Rows = slices.DeleteFunc(e.Rows, func(m lv.Moved) bool { return m.To == 0 })
		return true
	})},
	{what: "tells of no deleted strategies", caught: watchReplays, wrap: eachEvent(func(_ context.Context, _ int, e *lv.Event) bool {
		return e.Strategy == nil || !e.Strategy.Deleted
	})},
	{what: "tells of strategies as they are now", caught: watchReplays, wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return each(s.Watch(ctx, after), func(_ int, e *lv.Event) bool {
				if e.Strategy != nil {
					e.Strategy.Disabled = false
				}
				return true
			})
		}
	}), unnoted: true},
	{what: "keeps rows in the handle", caught: "two handles see the same rows", again: anotherStore},
	{what: "keeps pointers in the handle", caught: "two handles conflict as one", again: anotherStore},
	{what: "keeps events in the handle", caught: "watch sees the events of other handles", again: anotherStore},
	{what: "goes on where it can", caught: watchCount, unnoted: true, wrap: badWatch(goesOn)},
	{what: "keeps less than the limit", caught: watchCount, unnoted: true, retain: func(r *storage.Retention) { r.Events /= 2 }},
	{what: "keeps all events", caught: watchCount, unnoted: true, retain: func(r *storage.Retention) { r.Events = 1 << 30 }},
	{what: "shows what it may not know any more", caught: watchCount, unnoted: true, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			for _, err := range s.Rows(ctx, t, v) {
				if errors.Is(err, lv.ErrCompacted) {
					v.AsOf = 0
				}
			}
			return s.Rows(ctx, t, v)
		}
	})},
	{what: "keeps old events", caught: watchAge, unnoted: true, retain: func(r *storage.Retention) { r.Age = 1000 * time.Hour }},
	{what: "takes a negative limit for a small one", caught: watchDefault, unnoted: true, retain: func(r *storage.Retention) {
		if r.Events < 0 {
			r.Events = 1
		}
	}},
	{what: "takes a negative age for a short one", caught: watchDefault, unnoted: true, retain: func(r *storage.Retention) {
		if r.Age < 0 {
			r.Age = 1
		}
	}},
}

// goesOn leaves out the events that are compacted.
func goesOn(s lv.VersionStore) watchFunc {
	return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
		return func(yield func(lv.Event, error) bool) {
			compacted := true
			for compacted {
				compacted = false
				for e, err := range s.Watch(ctx, after) {
					if compacted = errors.Is(err, lv.ErrCompacted); compacted {
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

const (
	agrees    = "what a store says of its tables agrees with itself"
	histories = "random histories agree with the model"
)

// consistencyMutants are caught by what is computed anew after every case.
var consistencyMutants = []mutant{
	{what: "has a stale status", caught: agrees, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		if v.Working && v.AsOf == 0 && r.ID == "b" {
			r.Status = lv.StatusChanged
		}
		return true
	})},
	{what: "loses a changed row", caught: agrees, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return v.Status != lv.StatusChanged || r.ID != "a"
	})},
	{what: "loses a published row", caught: agrees, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return v.Status != lv.StatusPublished || r.ID != "b"
	})},
	{what: "loses a deletion", caught: agrees, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool { return !v.Deleted })},
	{what: "shows an old working row", caught: agrees, wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		if all := items(s.Versions(context.Background(), t, lv.Query{Row: r.ID})); v.Working && v.AsOf == 0 && len(all) > 2 {
			r.Version, r.Content, r.UpdatedAt = all[2].ID, all[2].Content, all[2].Time
		}
		return true
	})},
	{what: "points at nothing", caught: agrees, wrap: eachVersion(func(_ lv.VersionStore, _ lv.TableID, v *lv.Version) bool {
		return !slices.Contains(v.Live, "green")
	})},
	{what: "shows production through a deletion", caught: agrees, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			own := items(s.Rows(ctx, t, lv.View{Env: v.Env, Own: true, AsOf: v.AsOf}))
			if v.Working || v.Own || len(own) != 3 {
				return s.Rows(ctx, t, v)
			}
			v.Env = ""
			return s.Rows(ctx, t, v)
		}
	})},
	{what: "is live nowhere", caught: agrees, wrap: eachVersion(func(_ lv.VersionStore, _ lv.TableID, v *lv.Version) bool {
		v.Live = nil
		return true
	})},
	{what: "has no name for its history", caught: oneStory, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.History = ""
		return true
	}), unnoted: true},
	{what: "names a history by its last event", caught: oneStory, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.History = i.Time.String() + strconv.FormatInt(i.Seq, 10)
		return true
	}), unnoted: true},
	{what: "has a history for each table", caught: oneStory, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.History += i.ID.Schema
		return true
	}), unnoted: true},
	{what: "ends before its last event", caught: agrees, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Seq--
		return true
	})},
	{what: "says nothing", caught: histories, wrap: badTables(func(lv.VersionStore) tablesFunc {
		return func(context.Context, ...lv.TableID) iter.Seq2[lv.TableInfo, error] { return itemsOf[lv.TableInfo](nil) }
	})},
}
