package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const (
	watchSays    = "events say what has changed"
	watchReplays = "events after any moment lead from then to now"
)

// eachMoved changes every row of every event that Watch yields.
func eachMoved(kind lv.EventKind, change func(m *lv.Moved)) breaking {
	return feed.Each(func(_ context.Context, _ int, e *lv.Event) bool {
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
	{What: "numbers no events", Caught: watchSays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool { e.Seq = 1; return true })},
	{What: "does not say who", Caught: watchSays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool { e.Actor = ""; return true })},
	{What: "does not say which release", Caught: watchSays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool { e.Release = 0; return true })},
	{What: "does not say where", Caught: watchSays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool { e.Env = ""; return true })},
	{What: "has local times", Caught: watchSays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool {
		e.Time = e.Time.In(time.FixedZone("", 3600))
		return true
	})},
	{What: "does not say what was there", Caught: watchSays, Wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.From = 0 })},
	{What: "does not say what was saved", Caught: watchSays, Wrap: eachMoved(lv.EventSaved, func(m *lv.Moved) { m.Content = nil })},
	{What: "does not say when a row was made", Caught: watchSays, Wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.CreatedAt = m.UpdatedAt })},
	{What: "tells of every change of a release", Caught: watchSays, Wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return provetest.Each(s.Watch(ctx, after), func(_ int, e *lv.Event) bool {
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
	{What: "tells of no plans", Caught: watchSays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool { return e.Kind != lv.EventDraft })},
	{What: "cannot write while it watches", Caught: "a watcher may use the store", Unnoted: true, Wrap: exclusive},
	{What: "does not say what was released", Caught: watchReplays, Wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.Content = nil })},
	{What: "tells of no resets", Caught: watchReplays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool {
		e.Rows = slices.DeleteFunc(e.Rows, func(m lv.Moved) bool { return m.To == 0 })
		return true
	})},
	{What: "tells of no deleted strategies", Caught: watchReplays, Wrap: feed.Each(func(_ context.Context, _ int, e *lv.Event) bool {
		return e.Strategy == nil || !e.Strategy.Deleted
	})},
	{What: "tells of strategies as they are now", Caught: watchReplays, Wrap: badWatch(func(s lv.VersionStore) watchFunc {
		return func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return provetest.Each(s.Watch(ctx, after), func(_ int, e *lv.Event) bool {
				if e.Strategy != nil {
					e.Strategy.Disabled = false
				}
				return true
			})
		}
	}), Unnoted: true},
	{What: "keeps rows in the handle", Caught: "two handles see the same rows", Again: anotherStore},
	{What: "keeps pointers in the handle", Caught: "two handles conflict as one", Again: anotherStore},
	{What: "keeps events in the handle", Caught: "watch sees the events of other handles", Again: anotherStore},
	{What: "shows what it may not know any more", Caught: "events beyond the limit are compacted", Unnoted: true, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			for _, err := range s.Rows(ctx, t, v) {
				if errors.Is(err, lv.ErrCompacted) {
					v.AsOf = 0
				}
			}
			return s.Rows(ctx, t, v)
		}
	})},
}

const (
	agrees    = "what a store says of its tables agrees with itself"
	histories = "random histories agree with the model"
)

// consistencyMutants are caught by what is computed anew after every case.
var consistencyMutants = []mutant{
	{What: "has a stale status", Caught: agrees, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		if v.Working && v.AsOf == 0 && r.ID == "b" {
			r.Status = lv.StatusChanged
		}
		return true
	})},
	{What: "loses a changed row", Caught: agrees, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return v.Status != lv.StatusChanged || r.ID != "a"
	})},
	{What: "loses a published row", Caught: agrees, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return v.Status != lv.StatusPublished || r.ID != "b"
	})},
	{What: "loses a deletion", Caught: agrees, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool { return !v.Deleted })},
	{What: "shows an old working row", Caught: agrees, Wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		if all := items(s.Versions(context.Background(), t, lv.Query{Row: r.ID})); v.Working && v.AsOf == 0 && len(all) > 2 {
			r.Version, r.Content, r.UpdatedAt = all[2].ID, all[2].Content, all[2].Time
		}
		return true
	})},
	{What: "points at nothing", Caught: agrees, Wrap: eachVersion(func(_ lv.VersionStore, _ lv.TableID, v *lv.Version) bool {
		return !slices.Contains(v.Live, "green")
	})},
	{What: "shows production through a deletion", Caught: agrees, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			own := items(s.Rows(ctx, t, lv.View{Env: v.Env, Own: true, AsOf: v.AsOf}))
			if v.Working || v.Own || len(own) != 3 {
				return s.Rows(ctx, t, v)
			}
			v.Env = ""
			return s.Rows(ctx, t, v)
		}
	})},
	{What: "is live nowhere", Caught: agrees, Wrap: eachVersion(func(_ lv.VersionStore, _ lv.TableID, v *lv.Version) bool {
		v.Live = nil
		return true
	})},
	{What: "has no name for its history", Caught: oneStory, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.History = ""
		return true
	}), Unnoted: true},
	{What: "names a history by its last event", Caught: oneStory, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.History = i.Time.String() + strconv.FormatInt(i.Seq, 10)
		return true
	}), Unnoted: true},
	{What: "has a history for each table", Caught: oneStory, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.History += i.ID.Schema
		return true
	}), Unnoted: true},
	{What: "ends before its last event", Caught: agrees, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Seq--
		return true
	})},
	{What: "says nothing", Caught: histories, Wrap: badTables(func(lv.VersionStore) tablesFunc {
		return func(context.Context, ...lv.TableID) iter.Seq2[lv.TableInfo, error] { return itemsOf[lv.TableInfo](nil) }
	})},
}
