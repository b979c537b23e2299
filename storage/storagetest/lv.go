package storagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
	"github.com/upkeep-go/upkeep/storage"
)

var versionsStore = store{
	domain: "lv", table: "upkeep_lv_row", key: "name",

	of:        func(b storage.Backend) any { return b.Versions() },
	run:       runVersions,
	reopening: []backendCase{{"rows and what was released survive reopening", rowsSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		_, err := b.Versions().Write(ctx, pages, saving(id, 1), ann)
		return err
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		for _, err := range b.Versions().Rows(ctx, pages, lv.View{Working: true, Rows: []string{id}}) {
			return err == nil, err
		}
		return false, nil
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		s, v := b.Versions(), lv.Version{ID: 1, Row: "work 1"}
		return []call{
			calling("Write", func() ([]lv.Version, error) { return s.Write(ctx, pages, saving("a", 2), ann) }),
			calling("PutRelease", func() (lv.Release, error) { return s.PutRelease(ctx, pages, releasing(v), ann) }),
			calling("PutStrategy", func() (lv.Strategy, error) { return s.PutStrategy(ctx, pages, showing(v), ann) }),
			listing("Rows", s.Rows(ctx, pages, lv.View{Working: true})),
			listing("Rows", s.Rows(ctx, pages, lv.View{})),
			listing("Versions", s.Versions(ctx, pages, lv.Query{})),
			listing("Releases", s.Releases(ctx, pages, lv.Query{})),
			listing("Tables", s.Tables(ctx)),
			listing("Watch", s.Watch(ctx, 0)),
			listing("Watch", s.Watch(ctx, -1)),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		_, err := b.Versions().Write(t.Context(), pages, saving("kept", 1), ann)
		require.NoError(t, err)
		_, err = b.Versions().Write(t.Context(), pages, append(saving("half", 1), lv.Edit{Op: lv.OpDelete, Row: "none"}), ann)
		require.ErrorIs(t, err, lv.ErrNotFound)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		ctx := t.Context()
		saved, err := b.Versions().Write(ctx, pages, saving(fmt.Sprint("work ", n), n), ann)
		require.NoError(t, err)
		_, err = b.Versions().PutRelease(ctx, pages, releasing(saved[0]), ann)
		require.NoError(t, err)
		_, err = b.Versions().PutStrategy(ctx, pages, showing(saved[0]), ann)
		require.NoError(t, err)
		require.Len(t, all(t, b.Versions().Rows(ctx, pages, lv.View{})), n)
		require.Len(t, all(t, b.Versions().Versions(ctx, pages, lv.Query{})), n)
	},
	events: 3,
	watch: func(ctx context.Context, b storage.Backend, after int64) iter.Seq2[int64, error] {
		return seqs(b.Versions().Watch(ctx, after), func(e lv.Event) int64 { return e.Seq })
	},
}

func runVersions(t *testing.T, h Harness) {
	v, first := harnessOf(h, storage.Backend.Versions)
	u := lvtest.Harness{Open: v.Open, Again: v.Again, Retain: v.Retain, RealTime: v.RealTime, Histories: h.Histories}
	if h.Damage != nil {
		u.Damage = func(t testing.TB, _ lv.VersionStore, v lv.VersionID, content []byte) {
			h.Damage(t, first(), `UPDATE upkeep_lv_version SET content = ? WHERE id = ?`, content, int64(v))
		}
	}
	t.Run("Versions", func(t *testing.T) { lvtest.RunVersionStore(t, u) })
	t.Run("Service", func(t *testing.T) { lvtest.RunService(t, u) })
}

// What cases keep of package lv.
var (
	pages = lv.TableID{App: "demo", Schema: "pages"}
	ann   = lv.By{Actor: "ann"}
)

func saving(row string, n int) []lv.Edit {
	return []lv.Edit{{Op: lv.OpSave, Row: row, Content: json.RawMessage(fmt.Sprintf(`{"n": %d}`, n))}}
}

func releasing(v lv.Version) lv.Release {
	return lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: v.Row, To: v.ID}}}
}

func showing(v lv.Version) lv.Strategy {
	rule := lv.Rule{Object: "user", Field: "city", Relation: lv.RelationEquals, Value: "Nice"}
	return lv.Strategy{Target: v.ID, Rules: lv.Rules{rule}}
}

func rowsSurvive(t testing.TB, h Harness) {
	ctx, first := t.Context(), h.open(t)
	versions := first.Versions()
	write := func(edits ...[]lv.Edit) (all []lv.Version) {
		t.Helper()
		all, err := versions.Write(ctx, pages, slices.Concat(edits...), ann)
		require.NoError(t, err)
		return all
	}
	put := func(r lv.Release) lv.Release {
		t.Helper()
		r, err := versions.PutRelease(ctx, pages, r, lv.By{Actor: "ann", RequestID: fmt.Sprint(r.ID, r.Env, r.State)})
		require.NoError(t, err)
		return r
	}
	saved := write(saving("a", 1), saving("b", 1))
	released := put(releasing(saved[0]))
	last := write(saving("a", 2), []lv.Edit{{Op: lv.OpDelete, Row: "b"}})
	gray := releasing(last[0])
	gray.Env = "green"
	put(gray)
	plan := releasing(last[1])
	plan.State = lv.ReleaseDraft
	plan = put(plan)
	_, err := versions.PutStrategy(ctx, pages, showing(last[0]), ann)
	require.NoError(t, err)
	before := readRows(t, versions)

	versions = h.reopen(t, first).Versions()
	require.Equal(t, before, readRows(t, versions), "rows and what was released survive reopening")
	require.Equal(t, released.ID, put(releasing(saved[0])).ID, "requests survive reopening")
	require.Greater(t, write(saving("c", 1))[0].ID, last[1].ID, "ids of versions rise through reopening")
	plan.State = lv.ReleaseApplied
	require.Greater(t, put(plan).Seq, before.tables[0].Seq, "a plan survives reopening, and Seq rises through it")
}

// rowsRead is what can be read of pages.
type rowsRead struct {
	tables   []lv.TableInfo
	rows     [][]lv.Row
	versions []lv.Version
	releases []lv.Release
	events   []lv.Event
}

func readRows(t testing.TB, s lv.VersionStore) rowsRead {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := rowsRead{
		tables:   all(t, s.Tables(ctx)),
		versions: all(t, s.Versions(ctx, pages, lv.Query{})),
		releases: all(t, s.Releases(ctx, pages, lv.Query{})),
	}
	require.Len(t, r.tables, 1)
	for _, v := range []lv.View{
		{}, {Working: true}, {Working: true, Status: lv.StatusChanged}, {Env: "green"}, {Env: "green", Own: true},
		{AsOf: r.tables[0].Seq - 3}, {Working: true, AsOf: r.tables[0].Seq - 3},
	} {
		r.rows = append(r.rows, all(t, s.Rows(ctx, pages, v)))
	}
	for e, err := range s.Watch(ctx, 0) {
		require.NoError(t, err)
		if r.events = append(r.events, e); e.Seq == r.tables[0].Seq {
			break
		}
	}
	return r
}

// Versions returns the VersionStore behind the fault. Its Watch asks for the
// op "WatchVersions".
func (f *Faulty) Versions() lv.VersionStore { return faultyVersions{f} }

type faultyVersions struct{ *Faulty }

func (f faultyVersions) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	return through(f.Faulty, "Write", func() ([]lv.Version, error) { return f.Backend.Versions().Write(ctx, t, edits, by) })
}

func (f faultyVersions) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	return through(f.Faulty, "PutRelease", func() (lv.Release, error) { return f.Backend.Versions().PutRelease(ctx, t, r, by) })
}

func (f faultyVersions) PutStrategy(ctx context.Context, t lv.TableID, s lv.Strategy, by lv.By) (lv.Strategy, error) {
	return through(f.Faulty, "PutStrategy", func() (lv.Strategy, error) { return f.Backend.Versions().PutStrategy(ctx, t, s, by) })
}

func (f faultyVersions) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return list(f.Faulty, "Rows", f.Backend.Versions().Rows(ctx, t, v))
}

func (f faultyVersions) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return list(f.Faulty, "Versions", f.Backend.Versions().Versions(ctx, t, q))
}

func (f faultyVersions) Releases(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	return list(f.Faulty, "Releases", f.Backend.Versions().Releases(ctx, t, q))
}

func (f faultyVersions) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return list(f.Faulty, "Tables", f.Backend.Versions().Tables(ctx, ids...))
}

func (f faultyVersions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return list(f.Faulty, "WatchVersions", f.Backend.Versions().Watch(ctx, after))
}
