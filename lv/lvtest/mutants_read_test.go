package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
)

const (
	rowsSorted  = "rows come by rising id"
	rowsAsked   = "rows come as they are asked for"
	rowsStatus  = "rows are selected by status"
	rowsPages   = "pages of rows neither repeat nor skip"
	tablesAlone = "tables are isolated"
	tablesNamed = "tables come in the order of their names"
	tableSeq    = "a table has the seq and the time of its last event"
	oneStory    = "all tables are of one history"
	rowsAsOf    = "what was as of every event can be read"
)

var rowsMutants = []mutant{
	{What: "shows all rows to who asks for none", Caught: rowsAsked, Unnoted: true, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if len(v.Rows) == 0 {
			v.Rows = nil
		}
	})},
	{What: "lists all tables for who names none", Caught: tablesNamed, Unnoted: true, Wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			if len(ids) == 0 {
				ids = nil
			}
			return s.Tables(ctx, ids...)
		}
	})},
	{What: "sorts rows in any case", Caught: rowsSorted, Wrap: sorted(func(v lv.View, a, b lv.Row) int {
		return strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID))
	}), Unnoted: true},
	{What: "lists the newest rows first", Caught: rowsSorted, Wrap: sorted(func(v lv.View, a, b lv.Row) int { return b.CreatedAt.Compare(a.CreatedAt) })},
	{What: "goes on after rows alone", Caught: rowsSorted, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			if v.After != "" && newest(s, t, v.After).ID == 0 {
				v.After = "\U0010ffff"
			}
			return s.Rows(ctx, t, v)
		}
	}), Unnoted: true},
	{What: "shows a row once", Caught: rowsAsked, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		seen := make(map[string]bool)
		v.Rows = slices.DeleteFunc(slices.Clone(v.Rows), func(id string) bool {
			again := seen[id]
			seen[id] = true
			return again
		})
	}), Unnoted: true},
	{What: "sorts the rows that are asked for", Caught: rowsAsked, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		v.Rows = slices.Sorted(slices.Values(v.Rows))
	}), Unnoted: true},
	{What: "asks for a thousand rows at most", Caught: rowsAsked, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.Rows = v.Rows[:min(1000, len(v.Rows))] }), Unnoted: true},
	{What: "shows rows that were not asked for", Caught: rowsAsked, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if v.Own || v.AsOf > 0 {
			v.Rows = nil
		}
	}), Unnoted: true},
	{What: "shows any status", Caught: rowsStatus, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.Status = lv.StatusAny })},
	{What: "shows deletions among the changed", Caught: rowsStatus, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			all := s.Rows(ctx, t, v)
			if v.Status == lv.StatusChanged {
				v.Status, v.Deleted = lv.StatusAny, true
				return itemsOf(append(items(all), items(s.Rows(ctx, t, v))...))
			}
			return all
		}
	})},
	{What: "gives published rows a status", Caught: rowsStatus, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		r.Status = max(r.Status, lv.StatusPublished)
		return true
	})},
	{What: "begins every page anew", Caught: rowsPages, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.After = "" }), Unnoted: true},
	{What: "turns pages by counting", Caught: rowsPages, Wrap: turnsPages, Unnoted: true},
	{What: "has one table", Caught: tablesAlone, Wrap: oneTable, Unnoted: true},
	{What: "joins the names of a table", Caught: tablesAlone, Wrap: joinsNames, Unnoted: true},
	{What: "lists tables as they were made", Caught: tablesNamed, Wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			return reordered(s.Tables(ctx, ids...), func(all []lv.TableInfo) []lv.TableInfo {
				slices.SortFunc(all, func(a, b lv.TableInfo) int { return int(a.Seq - b.Seq) })
				return all
			})
		}
	}), Unnoted: true},
	{What: "lists tables that are not there", Caught: tablesNamed, Wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			return func(yield func(lv.TableInfo, error) bool) {
				n := 0
				for i, err := range s.Tables(ctx, ids...) {
					if n++; !yield(i, err) {
						return
					}
				}
				if n == 0 && len(ids) > 0 {
					yield(lv.TableInfo{ID: ids[0]}, nil)
				}
			}
		}
	})},
	{What: "lists every table", Caught: tablesNamed, Wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] { return s.Tables(ctx) }
	})},
	{What: "has one seq for all tables", Caught: tableSeq, Wrap: eachTable(func(s lv.VersionStore, i *lv.TableInfo) bool {
		for _, other := range items(s.Tables(context.Background())) {
			i.Seq = max(i.Seq, other.Seq)
		}
		return true
	}), Unnoted: true},
	{What: "numbers the events of a table", Caught: tableSeq, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Seq /= 2
		return true
	})},
	{What: "has the time of the last look for that of the event", Caught: tableSeq, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Time = time.Now().UTC().Truncate(time.Millisecond)
		return true
	})},
	{What: "shows now for then", Caught: rowsAsOf, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.AsOf = 0 })},
	{What: "shows grays of now", Caught: rowsAsOf, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if v.Env != "" {
			v.AsOf = 0
		}
	})},
	{What: "shows the event before", Caught: rowsAsOf, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.AsOf = max(0, v.AsOf-1) })},
	{What: "shows a status of the past", Caught: rowsAsOf, Wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if v.Status != 0 || v.Deleted {
			v.AsOf = 0
		}
	}), Unnoted: true},
	{What: "shows the future", Caught: rowsAsOf, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			for _, info := range items(s.Tables(ctx, t)) {
				v.AsOf = min(v.AsOf, info.Seq)
			}
			return s.Rows(ctx, t, v)
		}
	}), Unnoted: true},
}

// sorted yields rows in another order.
func sorted(order func(v lv.View, a, b lv.Row) int) breaking {
	return badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return reordered(s.Rows(ctx, t, v), func(all []lv.Row) []lv.Row {
				slices.SortStableFunc(all, func(a, b lv.Row) int { return order(v, a, b) })
				return all
			})
		}
	})
}

// turnsPages goes on after as many rows as came before View.After at the time.
func turnsPages(s lv.VersionStore) lv.VersionStore {
	places := make(map[string]int)
	return badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			skip, after := 0, v.After
			if v.After = ""; after != "" {
				skip = places[after] + 1
			}
			return provetest.Each(s.Rows(ctx, t, v), func(n int, r *lv.Row) bool {
				places[r.ID] = n - 1
				return n > skip
			})
		}
	})(s)
}

// oneTable keeps all tables in one.
func oneTable(s lv.VersionStore) lv.VersionStore {
	return renaming(s, func(t lv.TableID) lv.TableID { t.Schema = ""; return t })
}

// joinsNames keeps tables by the letters of both names.
func joinsNames(s lv.VersionStore) lv.VersionStore {
	return renaming(s, func(t lv.TableID) lv.TableID { return lv.TableID{App: t.App + t.Schema} })
}

func renaming(s lv.VersionStore, name func(lv.TableID) lv.TableID) lv.VersionStore {
	return &store{
		VersionStore: s,
		write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			return s.Write(ctx, name(t), edits, by)
		},
		putRelease: func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			return s.PutRelease(ctx, name(t), r, by)
		},
		putStrategy: func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			return s.PutStrategy(ctx, name(t), st, by)
		},
		rows: func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return s.Rows(ctx, name(t), v)
		},
		versions: func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			return s.Versions(ctx, name(t), q)
		},
		releases: func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return s.Releases(ctx, name(t), q)
		},
		tables: func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			var names []lv.TableID
			for _, id := range ids {
				names = append(names, name(id))
			}
			return provetest.Each(s.Tables(ctx, names...), func(n int, i *lv.TableInfo) bool {
				if n <= len(ids) {
					i.ID = ids[n-1]
				}
				return true
			})
		},
	}
}

const (
	historyNewest   = "history is newest first and goes on after a version"
	historyPages    = "pages of history join"
	historyLive     = "history says where a version is live"
	releasesListed  = "releases are newest first and selected by row and state"
	releasesPages   = "pages of releases join"
	forgetsReferred = "a version that is referred to is not forgotten"
	forgetsBack     = "what a release that can be taken back has moved is not forgotten"
	forgetsOnly     = "forgetting a version changes no other read"
	forgetsShared   = "forgetting a version keeps the same content of others"
	forgetsSource   = "forgetting a source keeps the rollback"
)

var historyMutants = []mutant{
	{What: "lists the oldest version first", Caught: historyNewest, Wrap: badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			return reordered(s.Versions(ctx, t, q), func(all []lv.Version) []lv.Version { slices.Reverse(all); return all })
		}
	})},
	{What: "lists the versions of every row", Caught: historyNewest, Wrap: querying(func(q *lv.Query) { q.Row = "" })},
	{What: "lists the versions of a row in any case", Caught: historyNewest, Wrap: querying(func(q *lv.Query) { q.Row = strings.ToLower(q.Row) }), Unnoted: true},
	{What: "repeats the version", Caught: historyNewest, Wrap: querying(func(q *lv.Query) { q.After += min(1, q.After) }), Unnoted: true},
	{What: "needs a version to go on", Caught: historyNewest, Wrap: badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			all := items(s.Versions(ctx, t, lv.Query{Row: q.Row}))
			if q.After != 0 && !slices.ContainsFunc(all, func(v lv.Version) bool { return int64(v.ID) == q.After }) {
				return itemsOf[lv.Version](nil)
			}
			return s.Versions(ctx, t, q)
		}
	}), Unnoted: true},
	{What: "begins pages of history anew", Caught: historyPages, Wrap: querying(func(q *lv.Query) { q.After = 0 }), Unnoted: true},
	{What: "does not say where a version is live", Caught: historyLive, Wrap: eachVersion(func(_ lv.VersionStore, _ lv.TableID, v *lv.Version) bool {
		v.Live = nil
		return true
	})},
	{What: "says where a version was live", Caught: historyLive, Wrap: eachVersion(func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool {
		v.Live = nil
		for _, r := range items(s.Releases(context.Background(), t, lv.Query{State: lv.ReleaseApplied})) {
			if slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.To == v.ID }) && !slices.Contains(v.Live, r.Env) {
				v.Live = append(v.Live, r.Env)
			}
		}
		slices.Sort(v.Live)
		return true
	})},
	{What: "lists grays that follow production", Caught: historyLive, Wrap: eachVersion(func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool {
		for _, env := range envs(s, t) {
			if slices.Contains(v.Live, "") && !slices.Contains(v.Live, env) && pointer(s, t, env, v.Row) == 0 {
				v.Live = append(v.Live, env)
			}
		}
		slices.Sort(v.Live)
		return true
	})},
	{What: "lists releases in every state", Caught: releasesListed, Wrap: querying(func(q *lv.Query) { q.State = "" })},
	{What: "lists releases of every row", Caught: releasesListed, Wrap: querying(func(q *lv.Query) { q.Row = "" })},
	{What: "lists releases as they were changed", Caught: releasesListed, Wrap: badReleases(func(s lv.VersionStore) releasesFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return reordered(s.Releases(ctx, t, q), func(all []lv.Release) []lv.Release {
				slices.SortStableFunc(all, func(a, b lv.Release) int { return int(b.Rev - a.Rev) })
				return all
			})
		}
	})},
	{What: "lists no plans", Caught: releasesListed, Wrap: badReleases(func(s lv.VersionStore) releasesFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return provetest.Each(s.Releases(ctx, t, q), func(_ int, r *lv.Release) bool { return r.State == lv.ReleaseApplied })
		}
	})},
	{What: "begins pages of releases anew", Caught: releasesPages, Wrap: querying(func(q *lv.Query) { q.After = 0 }), Unnoted: true},
}

var forgetMutants = []mutant{
	{What: "forgets what is referred to", Caught: forgetsReferred, Wrap: badWrite(forgivingWrite(lv.ErrStale))},
	{What: "forgets nothing that was ever released", Caught: forgetsReferred, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			for _, r := range items(s.Releases(ctx, t, lv.Query{State: lv.ReleaseApplied})) {
				for _, c := range r.Changes {
					if edits[0].Op == lv.OpForget && edits[0].Version == c.From {
						return nil, lv.ErrStale
					}
				}
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{What: "counts rows that a release did not move", Caught: forgetsBack, Wrap: badWrite(forgetsUnmoved)},
	{What: "forgets nothing that was ever shown", Caught: forgetsReferred, Wrap: keepsShown},
	{What: "keeps what it forgets", Caught: forgetsOnly, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			for _, v := range items(s.Versions(ctx, t, lv.Query{})) {
				if len(edits) == 1 && edits[0].Op == lv.OpForget && v.ID == edits[0].Version {
					return []lv.Version{v}, nil
				}
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{What: "leaves out what was forgotten in silence", Caught: forgetsOnly, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return func(yield func(lv.Row, error) bool) {
				for r, err := range s.Rows(ctx, t, v) {
					if errors.Is(err, lv.ErrCompacted) || !yield(r, err) {
						return
					}
				}
			}
		}
	})},
	{What: "leaves an event of what it forgets", Caught: forgetsOnly, Wrap: afterWrite(func(s lv.VersionStore, t lv.TableID, e lv.Edit, v lv.Version) {
		if e.Op == lv.OpForget {
			plan := lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{{Row: v.Row}}}
			_, _ = s.PutRelease(context.Background(), t, plan, someone)
		}
	})},
	{What: "forgets every version with this content", Caught: forgetsShared, Wrap: forgetsContents},
	{What: "forgets where a rollback comes from", Caught: forgetsSource, Wrap: eachVersion(func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool {
		all := items(s.Versions(context.Background(), t, lv.Query{Row: v.Row}))
		if !slices.ContainsFunc(all, func(source lv.Version) bool { return source.ID == v.Source }) {
			v.Source = 0
		}
		return true
	})},
	{What: "takes the oldest version for the creation", Caught: forgetsSource, Wrap: eachRow(func(s lv.VersionStore, t lv.TableID, _ lv.View, r *lv.Row) bool {
		if all := items(s.Versions(context.Background(), t, lv.Query{Row: r.ID})); len(all) > 0 {
			r.CreatedAt = all[len(all)-1].Time
		}
		return true
	})},
}
