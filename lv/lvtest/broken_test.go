package lvtest_test

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
)

// store is a VersionStore some of whose methods are replaced.
type store struct {
	lv.VersionStore
	write       writeFunc
	putRelease  releaseFunc
	putStrategy strategyFunc
	rows        rowsFunc
	versions    versionsFunc
	releases    releasesFunc
	tables      tablesFunc
	watch       watchFunc
}

type (
	writeFunc    = func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error)
	releaseFunc  = func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error)
	strategyFunc = func(ctx context.Context, t lv.TableID, s lv.Strategy, by lv.By) (lv.Strategy, error)
	rowsFunc     = func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error]
	versionsFunc = func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error]
	releasesFunc = func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error]
	tablesFunc   = func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error]
	watchFunc    = func(ctx context.Context, after int64) iter.Seq2[lv.Event, error]
)

func (s *store) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	if s.write == nil {
		return s.VersionStore.Write(ctx, t, edits, by)
	}
	return s.write(ctx, t, edits, by)
}

func (s *store) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	if s.putRelease == nil {
		return s.VersionStore.PutRelease(ctx, t, r, by)
	}
	return s.putRelease(ctx, t, r, by)
}

func (s *store) PutStrategy(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
	if s.putStrategy == nil {
		return s.VersionStore.PutStrategy(ctx, t, st, by)
	}
	return s.putStrategy(ctx, t, st, by)
}

func (s *store) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	if s.rows == nil {
		return s.VersionStore.Rows(ctx, t, v)
	}
	return s.rows(ctx, t, v)
}

func (s *store) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	if s.versions == nil {
		return s.VersionStore.Versions(ctx, t, q)
	}
	return s.versions(ctx, t, q)
}

func (s *store) Releases(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	if s.releases == nil {
		return s.VersionStore.Releases(ctx, t, q)
	}
	return s.releases(ctx, t, q)
}

func (s *store) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	if s.tables == nil {
		return s.VersionStore.Tables(ctx, ids...)
	}
	return s.tables(ctx, ids...)
}

func (s *store) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	if s.watch == nil {
		return s.VersionStore.Watch(ctx, after)
	}
	return s.watch(ctx, after)
}

// A breaking breaks a store.
type breaking = func(lv.VersionStore) lv.VersionStore

var (
	badWrite    = provetest.Bad(func(s lv.VersionStore, f writeFunc) lv.VersionStore { return &store{VersionStore: s, write: f} })
	badRelease  = provetest.Bad(func(s lv.VersionStore, f releaseFunc) lv.VersionStore { return &store{VersionStore: s, putRelease: f} })
	badStrategy = provetest.Bad(func(s lv.VersionStore, f strategyFunc) lv.VersionStore {
		return &store{VersionStore: s, putStrategy: f}
	})
	badRows     = provetest.Bad(func(s lv.VersionStore, f rowsFunc) lv.VersionStore { return &store{VersionStore: s, rows: f} })
	badVersions = provetest.Bad(func(s lv.VersionStore, f versionsFunc) lv.VersionStore { return &store{VersionStore: s, versions: f} })
	badReleases = provetest.Bad(func(s lv.VersionStore, f releasesFunc) lv.VersionStore { return &store{VersionStore: s, releases: f} })
	badTables   = provetest.Bad(func(s lv.VersionStore, f tablesFunc) lv.VersionStore { return &store{VersionStore: s, tables: f} })
	badWatch    = provetest.Bad(func(s lv.VersionStore, f watchFunc) lv.VersionStore { return &store{VersionStore: s, watch: f} })
)

// feed breaks the Watch.
var feed = provetest.Feed[lv.VersionStore, lv.Event]{
	Watch: lv.VersionStore.Watch, Bad: badWatch, Compacted: lv.ErrCompacted,
}

// editing changes what Write is given.
func editing(change func(s lv.VersionStore, t lv.TableID, e *lv.Edit)) breaking {
	return badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			edits = slices.Clone(edits)
			for i := range edits {
				change(s, t, &edits[i])
			}
			return s.Write(ctx, t, edits, by)
		}
	})
}

// wrote changes what Write answers.
func wrote(change func(e lv.Edit, v *lv.Version)) breaking {
	return badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			for i := range answer {
				change(edits[i], &answer[i])
			}
			return answer, err
		}
	})
}

// afterWrite does more after each edit that was accepted.
func afterWrite(more func(s lv.VersionStore, t lv.TableID, e lv.Edit, v lv.Version)) breaking {
	return badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			for i := range answer {
				more(s, t, edits[i], answer[i])
			}
			return answer, err
		}
	})
}

// releasing changes what PutRelease is given.
func releasing(change func(s lv.VersionStore, t lv.TableID, r *lv.Release)) breaking {
	return badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			r.Changes = slices.Clone(r.Changes)
			change(s, t, &r)
			return s.PutRelease(ctx, t, r, by)
		}
	})
}

// released changes what PutRelease answers.
func released(change func(given lv.Release, answer *lv.Release)) breaking {
	return badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if err == nil {
				change(r, &answer)
			}
			return answer, err
		}
	})
}

// viewing changes what Rows is asked.
func viewing(change func(s lv.VersionStore, v *lv.View)) breaking {
	return badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			change(s, &v)
			return s.Rows(ctx, t, v)
		}
	})
}

// eachRow changes, or drops, each row that Rows yields.
func eachRow(keep func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool) breaking {
	return badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return provetest.Each(s.Rows(ctx, t, v), func(_ int, r *lv.Row) bool { return keep(s, t, v, r) })
		}
	})
}

// eachVersion changes, or drops, each version that Versions yields.
func eachVersion(keep func(s lv.VersionStore, t lv.TableID, v *lv.Version) bool) breaking {
	return badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			return provetest.Each(s.Versions(ctx, t, q), func(_ int, v *lv.Version) bool { return keep(s, t, v) })
		}
	})
}

// querying changes what Versions and Releases are asked.
func querying(change func(q *lv.Query)) breaking {
	return func(s lv.VersionStore) lv.VersionStore {
		return &store{
			VersionStore: s,
			versions: func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
				change(&q)
				return s.Versions(ctx, t, q)
			},
			releases: func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
				change(&q)
				return s.Releases(ctx, t, q)
			},
		}
	}
}

// eachTable changes, or drops, each table that Tables yields.
func eachTable(keep func(s lv.VersionStore, i *lv.TableInfo) bool) breaking {
	return badTables(func(s lv.VersionStore) tablesFunc {
		return func(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
			return provetest.Each(s.Tables(ctx, ids...), func(_ int, i *lv.TableInfo) bool { return keep(s, i) })
		}
	})
}

// items returns what a list yields.
func items[T any](all iter.Seq2[T, error]) (got []T) {
	for item, err := range all {
		if err == nil {
			got = append(got, item)
		}
	}
	return got
}

// reordered yields what f makes of all items, and then the error if there is
// one.
func reordered[T any](all iter.Seq2[T, error], f func([]T) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var got []T
		var last error
		for item, err := range all {
			if last = err; err == nil {
				got = append(got, item)
			}
		}
		for _, item := range f(got) {
			if !yield(item, nil) {
				return
			}
		}
		if last != nil {
			var nothing T
			yield(nothing, last)
		}
	}
}

// itemsOf makes a list of items.
func itemsOf[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range all {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// pointer returns what an environment points a row at, or 0.
func pointer(s lv.VersionStore, t lv.TableID, env lv.Env, row string) lv.VersionID {
	for _, r := range items(s.Rows(context.Background(), t, lv.View{Env: env, Own: true, Rows: []string{row}})) {
		return r.Version
	}
	return 0
}

// newest returns the newest version of a row.
func newest(s lv.VersionStore, t lv.TableID, row string) lv.Version {
	for _, v := range items(s.Versions(context.Background(), t, lv.Query{Row: row})) {
		return v
	}
	return lv.Version{}
}

// envs returns the grays of a table.
func envs(s lv.VersionStore, t lv.TableID) []lv.Env {
	for _, info := range items(s.Tables(context.Background(), t)) {
		return info.Envs
	}
	return nil
}

// decoded reads a content with numbers as floats.
func decoded(content json.RawMessage) (v any) {
	_ = json.Unmarshal(content, &v)
	return v
}

var someone = lv.By{Actor: "someone"}
