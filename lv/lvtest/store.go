package lvtest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

// storeTest is what a case of RunVersionStore works with.
type storeTest struct {
	testing.TB
	lv.VersionStore // over fresh state
	again           func() lv.VersionStore
	realTime        bool
	damage          func(v lv.VersionID, content []byte)
	damaged         bool // it has been called
	known           atomic.Pointer[known]
}

func (h Harness) start(t testing.TB) *storeTest {
	st := &storeTest{TB: t, VersionStore: h.Open(t), realTime: h.RealTime}
	st.damage = func(v lv.VersionID, content []byte) {
		st.damaged = true
		st.known.Store(nil)
		h.Damage(t, st.VersionStore, v, content)
	}
	st.again = func() lv.VersionStore { return h.Again(t, st.VersionStore) }
	return st
}

// The tables, the environments and the person of most cases.
var (
	pages   = lv.TableID{App: "demo", Schema: "pages"}
	banners = lv.TableID{App: "demo", Schema: "banners"}
	ann     = lv.By{Actor: "ann"}
)

const (
	green = lv.Env("green")
	blue  = lv.Env("blue")
)

// page returns the content that shown shortens to name.
func page(name string) json.RawMessage {
	b, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		panic(err)
	}
	return b
}

func saving(row, name string) lv.Edit { return lv.Edit{Op: lv.OpSave, Row: row, Content: page(name)} }
func deleting(row string) lv.Edit     { return lv.Edit{Op: lv.OpDelete, Row: row} }
func rolling(v lv.Version) lv.Edit    { return lv.Edit{Op: lv.OpRestore, Version: v.ID} }
func forgetting(v lv.Version) lv.Edit { return lv.Edit{Op: lv.OpForget, Version: v.ID} }

// to moves the pointer of the version's row to it.
func to(v lv.Version) lv.Change { return lv.Change{Row: v.Row, To: v.ID} }

// expecting is c if the pointer is at this version; 0 is none.
func expecting(c lv.Change, from lv.VersionID) lv.Change {
	c.Expect = &from
	return c
}

// working moves the pointers of rows to their working rows.
func working(rows ...string) (changes []lv.Change) {
	for _, row := range rows {
		changes = append(changes, lv.Change{Row: row, Working: true})
	}
	return changes
}

// applied is a release that is applied at once.
func applied(env lv.Env, changes ...lv.Change) lv.Release {
	return lv.Release{Env: env, State: lv.ReleaseApplied, Changes: changes}
}

// write writes edits of pages that must be accepted.
func (t *storeTest) write(edits ...lv.Edit) []lv.Version {
	t.Helper()
	versions, err := t.Write(t.Context(), pages, edits, ann)
	require.NoError(t, err, "the edits must be accepted")
	require.Len(t, versions, len(edits), "Write returns a version for every edit")
	return versions
}

func (t *storeTest) save(row, name string) lv.Version {
	t.Helper()
	return t.write(saving(row, name))[0]
}
func (t *storeTest) remove(row string) lv.Version {
	t.Helper()
	return nth(t, 0, t.write(deleting(row)))
}
func (t *storeTest) rollback(v lv.Version) lv.Version {
	t.Helper()
	return nth(t, 0, t.write(rolling(v)))
}
func (t *storeTest) saveJSON(row, content string) lv.Version {
	t.Helper()
	return t.write(lv.Edit{Op: lv.OpSave, Row: row, Content: json.RawMessage(content)})[0]
}

// writeElsewhere saves a row of banners.
func (t *storeTest) writeElsewhere(name string) lv.Version {
	t.Helper()
	versions, err := t.Write(t.Context(), banners, []lv.Edit{saving("a", name)}, ann)
	require.NoError(t, err)
	return versions[0]
}

// put puts a release of pages that must be accepted.
func (t *storeTest) put(r lv.Release) lv.Release {
	t.Helper()
	r, err := t.PutRelease(t.Context(), pages, r, ann)
	require.NoError(t, err, "the release must be accepted")
	return r
}

// release moves pointers now.
func (t *storeTest) release(env lv.Env, changes ...lv.Change) lv.Release {
	t.Helper()
	return t.put(applied(env, changes...))
}

// publish points an environment at working rows now.
func (t *storeTest) publish(env lv.Env, rows ...string) lv.Release {
	t.Helper()
	return t.release(env, working(rows...)...)
}

// rows returns the rows of a view of pages.
func (t *storeTest) rows(v lv.View) []lv.Row {
	t.Helper()
	return list(t, t.Rows(t.Context(), pages, v))
}

// row returns the first row of a view of pages.
func (t *storeTest) row(v lv.View) lv.Row { t.Helper(); return nth(t, 0, t.rows(v)) }

// newest returns the newest version of a row of pages.
func (t *storeTest) newest(row string) lv.Version {
	t.Helper()
	return nth(t, 0, t.history(lv.Query{Row: row}))
}

// shows checks what a view of pages shows: rows as "id=name", deletions as
// "id".
func (t *storeTest) shows(v lv.View, want ...string) {
	t.Helper()
	require.Equal(t, want, shown(t.rows(v)), "%+v", v)
}

func shown(rows []lv.Row) (short []string) {
	for _, r := range rows {
		var p struct{ Name string }
		switch err := json.Unmarshal(r.Content, &p); {
		case r.Content == nil:
			short = append(short, r.ID)
		case err != nil:
			short = append(short, fmt.Sprintf("%s=%s", r.ID, r.Content))
		default:
			short = append(short, r.ID+"="+p.Name)
		}
	}
	return short
}

// history returns versions of pages.
func (t *storeTest) history(q lv.Query) []lv.Version {
	t.Helper()
	return list(t, t.Versions(t.Context(), pages, q))
}

// releases returns releases of pages.
func (t *storeTest) releases(q lv.Query) []lv.Release {
	t.Helper()
	return list(t, t.Releases(t.Context(), pages, q))
}

// info returns what there is of pages.
func (t *storeTest) info() lv.TableInfo {
	t.Helper()
	tables := list(t, t.Tables(t.Context(), pages))
	require.Len(t, tables, 1, "a table that was written to is there")
	return tables[0]
}

// list reads a list that must end without an error.
func list[T any](t testing.TB, all iter.Seq2[T, error]) (items []T) {
	t.Helper()
	for item, err := range all {
		require.NoError(t, err)
		items = append(items, item)
	}
	return items
}

// first reads at most n items of a list.
func first[T any](t testing.TB, n int, all iter.Seq2[T, error]) (items []T) {
	t.Helper()
	for item, err := range all {
		require.NoError(t, err)
		if items = append(items, item); len(items) >= n {
			break
		}
	}
	return items
}

// nth returns an item of a list, which must be there.
func nth[T any](t testing.TB, i int, items []T) T {
	t.Helper()
	require.Greater(t, len(items), i, "the list is too short")
	return items[i]
}

// collect returns the first n events after a Seq, for which it waits.
func collect(t testing.TB, s lv.VersionStore, after int64, n int) []lv.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[lv.Event, error] { return s.Watch(ctx, after) })
}

// log returns all events so far. It writes one, of another table, to know
// where they end.
func (t *storeTest) log() []lv.Event {
	t.Helper()
	return logAfter(t, t.VersionStore, 0)
}

func logAfter(t testing.TB, s lv.VersionStore, after int64) (events []lv.Event) {
	t.Helper()
	table := lv.TableID{App: "mark", Schema: "mark"}
	mark, err := s.Write(t.Context(), table, []lv.Edit{saving("mark", fmt.Sprint("after ", after)), saving("mark", "mark")}, ann)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range s.Watch(ctx, after) {
		require.NoError(t, err)
		if e.Table != table {
			events = append(events, e)
		} else if slices.ContainsFunc(e.Rows, func(m lv.Moved) bool { return m.To == mark[1].ID }) {
			break
		}
	}
	return events
}

// everything is all that can be read of a table.
type everything struct {
	Info              lv.TableInfo
	Working, Deleted  []lv.Row
	Production        []lv.Row
	Grays             map[lv.Env][]lv.Row // what they point at themselves
	Versions          []lv.Version
	Releases          []lv.Release
	Published, Edited []lv.Row
}

// readAll reads the table id, which may not be there.
func readAll(t testing.TB, s lv.VersionStore, id lv.TableID) (all everything) {
	t.Helper()
	rows := func(v lv.View) []lv.Row { t.Helper(); return list(t, s.Rows(t.Context(), id, v)) }
	for _, info := range list(t, s.Tables(t.Context(), id)) {
		all.Info = info
	}
	all.Working, all.Deleted = rows(lv.View{Working: true}), rows(lv.View{Working: true, Deleted: true})
	all.Published = rows(lv.View{Working: true, Status: lv.StatusPublished})
	all.Edited = rows(lv.View{Working: true, Status: lv.StatusChanged})
	all.Production, all.Grays = rows(lv.View{}), make(map[lv.Env][]lv.Row)
	for _, env := range all.Info.Envs {
		all.Grays[env] = rows(lv.View{Env: env, Own: true})
	}
	all.Versions = list(t, s.Versions(t.Context(), id, lv.Query{}))
	all.Releases = list(t, s.Releases(t.Context(), id, lv.Query{}))
	return all
}

// known is what was read last, and holds until the test writes: a row of
// refusals reads the state before each of them once. To know too much is no
// danger: a write that is not noticed here is a change that is.
type known struct {
	all    everything
	events []lv.Event
}

// Write forgets what is known.
func (t *storeTest) Write(ctx context.Context, id lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	t.known.Store(nil)
	return t.VersionStore.Write(ctx, id, edits, by)
}

// PutRelease forgets what is known.
func (t *storeTest) PutRelease(ctx context.Context, id lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	t.known.Store(nil)
	return t.VersionStore.PutRelease(ctx, id, r, by)
}

// PutStrategy forgets what is known.
func (t *storeTest) PutStrategy(ctx context.Context, id lv.TableID, s lv.Strategy, by lv.By) (lv.Strategy, error) {
	t.known.Store(nil)
	return t.VersionStore.PutStrategy(ctx, id, s, by)
}

// unchanged checks that a call changes nothing that can be read, and leaves no
// event.
func (t *storeTest) unchanged(call func()) {
	t.Helper()
	before := t.known.Load()
	if before == nil {
		before = &known{readAll(t, t.VersionStore, pages), t.log()}
	}
	call()
	require.Equal(t, before.all, readAll(t, t.VersionStore, pages), "nothing has changed")
	require.Equal(t, before.events, t.log(), "no event is left")
	t.known.Store(before)
}

// refused checks that a call returns target and changes nothing.
func (t *storeTest) refused(target error, why string, call func() error) {
	t.Helper()
	t.unchanged(func() { require.ErrorIs(t, call(), target, why) })
}

// refusedEdits checks that edits are refused with target, whole.
func (t *storeTest) refusedEdits(target error, why string, edits ...lv.Edit) {
	t.Helper()
	t.refused(target, why, func() error {
		_, err := t.Write(t.Context(), pages, edits, ann)
		return err
	})
}

// refusedRelease checks that a release is refused with target, whole.
func (t *storeTest) refusedRelease(target error, why string, r lv.Release) {
	t.Helper()
	t.refused(target, why, func() error {
		_, err := t.PutRelease(t.Context(), pages, r, ann)
		return err
	})
}

// requireFails checks that a list is an error and nothing else.
func requireFails[T any](t testing.TB, target error, all iter.Seq2[T, error]) {
	t.Helper()
	pairs := 0
	for item, err := range all {
		pairs++
		require.ErrorIs(t, err, target)
		require.Zero(t, item, "an error comes alone")
	}
	require.Equal(t, 1, pairs, "an error is the last pair")
}
