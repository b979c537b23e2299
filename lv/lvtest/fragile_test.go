package lvtest_test

import (
	"bytes"
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// fragile is a store whose contents can be damaged, and which notices. It is
// careless in one way.
type fragile struct {
	lv.VersionStore
	careless string
	table    lv.TableID
	broken   map[lv.VersionID]bool
}

// The ways to be careless.
const (
	showsDamaged   = "shows what is damaged"
	stopsAtDamaged = "stops at what is damaged"
	keepsDamaged   = "has what is damaged in its history"
	tellsDamaged   = "tells of what is damaged"
	movesDamaged   = "publishes what is damaged"
	copiesDamaged  = "rolls back to what is damaged"
	takesDamaged   = "takes what is damaged for the same"
	holdsDamaged   = "keeps the plans of what is damaged"
)

// fragileMutants are what the cases of damage must catch.
func fragileMutants() (mutants []provetest.Mutant) {
	for _, m := range []struct{ careless, caught string }{
		{showsDamaged, "a damaged content is not shown, and the others are"},
		{stopsAtDamaged, "a damaged content is not shown, and the others are"},
		{keepsDamaged, "a damaged content is in no history, and the others are"},
		{tellsDamaged, "a damaged content is left out of its event"},
		{movesDamaged, "a damaged version is not published"},
		{copiesDamaged, "a damaged version is not rolled back to"},
		{takesDamaged, "what is damaged says the same as nothing"},
		{holdsDamaged, "what refers to a damaged version can be given up"},
	} {
		mutants = append(mutants, provetest.Mutant{What: m.careless, Caught: m.caught, Cases: carelessHarness(m.careless).Cases()})
	}
	return mutants
}

// carelessHarness is of stores that can be damaged alone.
func carelessHarness(careless string) lvtest.Harness {
	return lvtest.Harness{
		Open: func(testing.TB) lv.VersionStore {
			return &fragile{VersionStore: memory.New().Versions(), careless: careless, broken: map[lv.VersionID]bool{}}
		},
		Damage: func(t testing.TB, s lv.VersionStore, v lv.VersionID, content []byte) {
			s.(*fragile).damage(t, v, content)
		},
		Histories: 1,
	}
}

func TestAStoreThatNoticesDamageKeepsItsPromises(t *testing.T) {
	lvtest.RunVersionStore(t, carelessHarness("in no way"))
}

func (f *fragile) damage(t testing.TB, v lv.VersionID, content []byte) {
	for one := range f.all() {
		if one.ID == v {
			f.broken[v] = !bytes.Equal(one.Content, content)
			return
		}
	}
	require.Fail(t, "no such version")
}

func (f *fragile) all() iter.Seq2[lv.Version, error] {
	f.table = lv.TableID{App: "demo", Schema: "pages"}
	return f.VersionStore.Versions(context.Background(), f.table, lv.Query{})
}

// hurt reports whether the content of a version is damaged: its own or that of
// its source.
func (f *fragile) hurt(id lv.VersionID) bool {
	if len(f.broken) > 0 && !f.broken[id] {
		for v := range f.all() {
			if v.ID == id && v.Op == lv.OpRestore {
				return f.broken[v.Source]
			}
		}
	}
	return f.broken[id]
}

func (f *fragile) fault(row string, v lv.VersionID) error {
	return &lv.CorruptError{Table: f.table, Row: row, Version: v}
}

// Rows implements lv.VersionStore.
func (f *fragile) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		for r, err := range f.VersionStore.Rows(ctx, t, v) {
			hurt := err == nil && r.Content != nil && f.hurt(r.Version) && f.careless != showsDamaged
			if hurt {
				r.Content, r.Corrupt, err = nil, true, f.fault(r.ID, r.Version)
			}
			if !yield(r, err) || hurt && f.careless == stopsAtDamaged {
				return
			}
		}
	}
}

// Versions implements lv.VersionStore.
func (f *fragile) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return func(yield func(lv.Version, error) bool) {
		for v, err := range f.VersionStore.Versions(ctx, t, q) {
			if err == nil && f.hurt(v.ID) && f.careless != keepsDamaged {
				v.Content, err = nil, f.fault(v.Row, v.ID)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Watch implements lv.VersionStore.
func (f *fragile) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		for e, err := range f.VersionStore.Watch(ctx, after) {
			for i := range e.Rows {
				if c := &e.Rows[i]; c.Content != nil && f.hurt(c.To) && f.careless != tellsDamaged {
					c.Content, c.Corrupt = nil, true
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Write implements lv.VersionStore.
func (f *fragile) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	var all []lv.Edit
	var extra []bool // those that make what follows something else
	for _, e := range edits {
		if e.Op == lv.OpRestore && f.hurt(e.Version) && f.careless != copiesDamaged {
			for v := range f.all() {
				if v.ID == e.Version {
					return nil, f.fault(v.Row, v.ID)
				}
			}
		}
		if e.Op == lv.OpSave && len(f.broken) > 0 && f.careless != takesDamaged && f.hurt(newest(f.VersionStore, t, e.Row).ID) {
			all, extra = append(all, lv.Edit{Op: lv.OpSave, Row: e.Row, Content: []byte(`"between"`)}), append(extra, true)
		}
		all, extra = append(all, e), append(extra, false)
	}
	versions, err := f.VersionStore.Write(ctx, t, all, by)
	var left []lv.Version
	for i, v := range versions {
		if f.broken[v.ID] && f.careless != takesDamaged {
			v.Content = nil
		}
		if !extra[i] {
			left = append(left, v)
		}
	}
	return left, err
}

// PutRelease implements lv.VersionStore.
func (f *fragile) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	for _, c := range r.Changes {
		if len(f.broken) == 0 || f.careless == movesDamaged {
			break
		}
		if c.Working {
			c.To = newest(f.VersionStore, t, c.Row).ID
		}
		if (r.ID == 0 || r.State == lv.ReleaseApplied || f.careless == holdsDamaged) && f.hurt(c.To) {
			return lv.Release{}, f.fault(c.Row, c.To)
		}
	}
	return f.VersionStore.PutRelease(ctx, t, r, by)
}

// PutStrategy implements lv.VersionStore.
func (f *fragile) PutStrategy(ctx context.Context, t lv.TableID, s lv.Strategy, by lv.By) (lv.Strategy, error) {
	if !s.Deleted && !s.Disabled && f.hurt(s.Target) && f.careless != movesDamaged {
		for v := range f.all() {
			if v.ID == s.Target {
				return lv.Strategy{}, f.fault(v.Row, v.ID)
			}
		}
	}
	return f.VersionStore.PutStrategy(ctx, t, s, by)
}
