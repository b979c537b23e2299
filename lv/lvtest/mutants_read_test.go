package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

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
	{what: "shows all rows to who asks for none", caught: rowsAsked, unnoted: true, wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if len(v.Rows) == 0 {
			v.Rows = nil
		}
	})},
	{what: "lists all tables for who names none", caught: tablesNamed, unnoted: true, wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			if len(ids) == 0 {
				ids = nil
			}
			return s.Tables(ctx, ids...)
		}
	})},
	{what: "sorts rows in any case", caught: rowsSorted, wrap: sorted(func(v lv.View, a, b lv.Row) int {
		return strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID))
	}), unnoted: true},
	{what: "lists the newest rows first", caught: rowsSorted, wrap: sorted(func(v lv.View, a, b lv.Row) int { return b.CreatedAt.Compare(a.CreatedAt) })},
	{what: "goes on after rows alone", caught: rowsSorted, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			if v.After != "" && newest(s, t, v.After).ID == 0 {
				v.After = "\U0010ffff"
			}
			return s.Rows(ctx, t, v)
		}
	}), unnoted: true},
	{what: "shows a row once", caught: rowsAsked, wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		seen := make(map[string]bool)
		v.Rows = slices.DeleteFunc(slices.Clone(v.Rows), func(id string) bool {
			again := seen[id]
			seen[id] = true
			return again
		})
	}), unnoted: true},
	{what: "sorts the rows that are asked for", caught: rowsAsked, wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		v.Rows = slices.Sorted(slices.Values(v.Rows))
	}), unnoted: true},
	{what: "asks for a thousand rows at most", caught: rowsAsked, wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.Rows = v.Rows[:min(1000, len(v.Rows))] }), unnoted: true},
	{what: "shows rows that were not asked for", caught: rowsAsked, wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if v.Own || v.AsOf > 0 {
			v.Rows = nil
		}
	}), unnoted: true},
	{what: "shows any status", caught: rowsStatus, wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.Status = lv.StatusAny })},
	{what: "shows deletions among the changed", caught: rowsStatus, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			all := s.Rows(ctx, t, v)
			if v.Status == lv.StatusChanged {
				v.Status, v.Deleted = lv.StatusAny, true
				return itemsOf(append(items(all), items(s.Rows(ctx, t, v))...))
			}
			return all
		}
	})},
	{what: "gives published rows a status", caught: rowsStatus, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		r.Status = max(r.Status, lv.StatusPublished)
		return true
	})},
	{what: "begins every page anew", caught: rowsPages, wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.After = "" }), unnoted: true},
	{what: "turns pages by counting", caught: rowsPages, wrap: turnsPages, unnoted: true},
	{what: "has one table", caught: tablesAlone, wrap: oneTable, unnoted: true},
	{what: "joins the names of a table", caught: tablesAlone, wrap: joinsNames, unnoted: true},
	{what: "lists tables as they were made", caught: tablesNamed, wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			return reordered(s.Tables(ctx, ids...), func(all []lv.TableInfo) []lv.TableInfo {
				slices.SortFunc(all, func(a, b lv.TableInfo) int { return int(a.Seq - b.Seq) })
				return all
			})
		}
	}), unnoted: true},
	{what: "lists tables that are not there", caught: tablesNamed, wrap: badTables(func(s lv.VersionStore) tablesFunc {
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
	{what: "lists every table", caught: tablesNamed, wrap: badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] { return s.Tables(ctx) }
	})},
	{what: "has one seq for all tables", caught: tableSeq, wrap: eachTable(func(s lv.VersionStore, i *lv.TableInfo) bool {
		for _, other := range items(s.Tables(context.Background())) {
			i.Seq = max(i.Seq, other.Seq)
		}
		return true
	}), unnoted: true},
	{what: "numbers the events of a table", caught: tableSeq, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Seq /= 2
		return true
	})},
	{what: "has the time of the last look for that of the event", caught: tableSeq, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Time = time.Now().UTC().Truncate(time.Millisecond)
		return true
	})},
	{what: "shows now for then", caught: rowsAsOf, wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.AsOf = 0 })},
	{what: "shows grays of now", caught: rowsAsOf, wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if v.Env != "" {
			v.AsOf = 0
		}
	})},
	{what: "shows the event before", caught: rowsAsOf, wrap: viewing(func(_ lv.VersionStore, v *lv.View) { v.AsOf = max(0, v.AsOf-1) })},
	{what: "shows a status of the past", caught: rowsAsOf, wrap: viewing(func(_ lv.VersionStore, v *lv.View) {
		if v.Status != 0 || v.Deleted {
			v.AsOf = 0
		}
	}), unnoted: true},
	{what: "shows the future", caught: rowsAsOf, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			for _, info := range items(s.Tables(ctx, t)) {
				v.AsOf = min(v.AsOf, info.Seq)
			}
			return s.Rows(ctx, t, v)
		}
	}), unnoted: true},
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
			return each(s.Rows(ctx, t, v), func(n int, r *lv.Row) bool {
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
			return each(s.Tables(ctx, names...), func(n int, i *lv.TableInfo) bool {
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
	{what: "lists the oldest version first", caught: historyNewest, wrap: badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			return reordered(s.Versions(ctx, t, q), func(all []lv.Version) []lv.Version { slices.Reverse(all); return all })
		}
	})},
	{what: "lists the versions of every row", caught: historyNewest, wrap: querying(func(q *lv.Query) { q.Row = "" })},
	{what: "lists the versions of a row in any case", caught: historyNewest, wrap: querying(func(q *lv.Query) { q.Row = strings.ToLower(q.Row) }), unnoted: true},
	{what: "repeats the version", caught: historyNewest, wrap: querying(func(q *lv.Query) { q.After += min(1, q.After) }), unnoted: true},
	{what: "needs a version to go on", caught: historyNewest, wrap: badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			all := items(s.Versions(ctx, t, lv.Query{Row: q.Row}))
			if q.After != 0 && !slices.ContainsFunc(all, func(v lv.Version) bool { return int64(v.ID) == q.After }) {
				return itemsOf[lv.Version](nil)
			}
			return s.Versions(ctx, t, q)
		}
	}), unnoted: true},
	{what: "begins pages of history anew", caught: historyPages, wrap: querying(func(q *lv.Query) { q.After = 0 }), unnoted: true},
	{what: "does not say where a version is live", caught: historyLive, wrap: eachVersion(func(_ lv.VersionStore, _ lv.TableID, v *lv.Version) bool {
		v.Live = nil
		return true
	})},
	{what: "says where a version was live", caught: historyLive, wrap: eachVersion(func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool {
		v.Live = nil
		for _, r := range items(s.Releases(context.Background(), t, lv.Query{State: lv.ReleaseApplied})) {
			if slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.To == v.ID }) && !slices.Contains(v.Live, r.Env) {
				v.Live = append(v.Live, r.Env)
			}
		}
		slices.Sort(v.Live)
		return true
	})},
	{what: "lists grays that follow production", caught: historyLive, wrap: eachVersion(func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool {
		for _, env := range envs(s, t) {
			if slices.Contains(v.Live, "") && !slices.Contains(v.Live, env) && pointer(s, t, env, v.Row) == 0 {
				v.Live = append(v.Live, env)
			}
		}
		slices.Sort(v.Live)
		return true
	})},
	{what: "lists releases in every state", caught: releasesListed, wrap: querying(func(q *lv.Query) { q.State = "" })},
	{what: "lists releases of every row", caught: releasesListed, wrap: querying(func(q *lv.Query) { q.Row = "" })},
	{what: "lists releases as they were changed", caught: releasesListed, wrap: badReleases(func(s lv.VersionStore) releasesFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return reordered(s.Releases(ctx, t, q), func(all []lv.Release) []lv.Release {
				slices.SortStableFunc(all, func(a, b lv.Release) int { return int(b.Rev - a.Rev) })
				return all
			})
		}
	})},
	{what: "lists no plans", caught: releasesListed, wrap: badReleases(func(s lv.VersionStore) releasesFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return each(s.Releases(ctx, t, q), func(_ int, r *lv.Release) bool { return r.State == lv.ReleaseApplied })
		}
	})},
	{what: "begins pages of releases anew", caught: releasesPages, wrap: querying(func(q *lv.Query) { q.After = 0 }), unnoted: true},
}

var forgetMutants = []mutant{
	{what: "forgets what is referred to", caught: forgetsReferred, wrap: badWrite(forgivingWrite(lv.ErrStale))},
	{what: "forgets nothing that was ever released", caught: forgetsReferred, wrap: badWrite(func(s lv.VersionStore) writeFunc {
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
	{what: "counts rows that a release did not move", caught: forgetsBack, wrap: badWrite(forgetsUnmoved)},
	{what: "forgets nothing that was ever shown", caught: forgetsReferred, wrap: keepsShown},
	{what: "keeps what it forgets", caught: forgetsOnly, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			for _, v := range items(s.Versions(ctx, t, lv.Query{})) {
				if len(edits) == 1 && edits[0].Op == lv.OpForget && v.ID == edits[0].Version {
					return []lv.Version{v}, nil
				}
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{what: "leaves out what was forgotten in silence", caught: forgetsOnly, wrap: badRows(func(s lv.VersionStore) rowsFunc {
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
	{what: "leaves an event of what it forgets", caught: forgetsOnly, wrap: afterWrite(func(s lv.VersionStore, t lv.TableID, e lv.Edit, v lv.Version) {
		if e.Op == lv.OpForget {
			plan := lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{{Row: v.Row}}}
			_, _ = s.PutRelease(context.Background(), t, plan, someone)
		}
	})},
	{what: "forgets every version with this content", caught: forgetsShared, wrap: forgetsContents},
	{what: "forgets where a rollback comes from", caught: forgetsSource, wrap: eachVersion(func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool {
		all := items(s.Versions(context.Background(), t, lv.Query{Row: v.Row}))
		if !slices.ContainsFunc(all, func(source lv.Version) bool { return source.ID == v.Source }) {
			v.Source = 0
		}
		return true
	})},
	{what: "takes the oldest version for the creation", caught: forgetsSource, wrap: eachRow(func(s lv.VersionStore, t lv.TableID, _ lv.View, r *lv.Row) bool {
		if all := items(s.Versions(context.Background(), t, lv.Query{Row: r.ID})); len(all) > 0 {
			r.CreatedAt = all[len(all)-1].Time
		}
		return true
	})},
}
