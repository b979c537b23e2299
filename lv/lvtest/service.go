package lvtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

// RunService checks that lv.Service keeps its promises over an engine: what it
// reads from memory is what the store has, and services of one state work
// together.
func RunService(t *testing.T, h Harness) {
	suitetest.Run(t, h.RealTime, h.serviceCases(requireConsistent))
}

// serviceCases returns the cases of RunService. After is called with the store
// of each that has passed.
func (h Harness) serviceCases(after func(testing.TB, lv.VersionStore)) []suitetest.Case {
	cases := slices.Clone(serviceCases)
	for i, c := range cases {
		cases[i].Run = func(t *serviceTest) {
			c.Run(t)
			after(t, t.store)
		}
	}
	return append(suitetest.On(h.startServices, cases), suitetest.Case{Name: servicesAgree, Run: h.overServices().histories})
}

const servicesAgree = "random histories of services agree with the model"

// serviceCase is a promise of lv.Service that needs its store, in words, and
// its check.
type serviceCase struct {
	Name string
	Run  func(*serviceTest)
}

var serviceCases = []serviceCase{
	{"a service shows what another has left", shownAgain},
	{"the deletion of a row that was saved again is not released", supersededDeletion},
	{"a revert lists what has moved since", revertConflict},
	{"a revert leaves alone what its release did not move", revertMoved},
	{"services that run see the releases of each other", seeEachOther},
	{"one of many services applies a release that is due", oneApplies},
	{"a scheduled release that meets a conflict fails", scheduledFails},
	{"releases that are due together are applied in order of that time, then of their id", dueInOrder},
	{"readers of a service see a release whole", serviceWhole},
	{"retention forgets what nothing refers to", retained},
}

// serviceTest is what a case of RunService works with.
type serviceTest struct {
	testing.TB
	*lv.Table // pages, of the first service
	store     lv.VersionStore
	again     func() lv.VersionStore // another handle, or the same
}

func (h Harness) startServices(t testing.TB) *serviceTest {
	s := h.Open(t)
	st := &serviceTest{TB: t, store: s, again: func() lv.VersionStore { return s }}
	if h.Again != nil {
		st.again = func() lv.VersionStore { return h.Again(t, s) }
	}
	st.Table = st.serve(s, lv.Config{})
	return st
}

// serve returns pages of a service that runs over a store until the test ends.
func (t *serviceTest) serve(s lv.VersionStore, c lv.Config) *lv.Table {
	t.Helper()
	c.VersionStore = s
	return newService(t, c).Table(pages.App, pages.Schema)
}

func (t *serviceTest) save(row, name string) lv.Version {
	t.Helper()
	v, err := t.Save(t.Context(), row, page(name), ann)
	require.NoError(t, err)
	return v
}

func (t *serviceTest) publish(env lv.Env, rows ...string) lv.Release {
	t.Helper()
	r, err := t.Publish(t.Context(), env, ann, rows...)
	require.NoError(t, err)
	return r
}

// plan plans that production gets a version, and approves it.
func (t *serviceTest) plan(v lv.Version) lv.Release {
	t.Helper()
	return t.planned(to(v))
}

// planned plans a change, and approves it.
func (t *serviceTest) planned(c lv.Change) lv.Release {
	t.Helper()
	r, err := t.Draft(t.Context(), lv.Release{Changes: []lv.Change{c}}, ann)
	require.NoError(t, err)
	_, err = t.Approve(t.Context(), r.ID, ann)
	require.ErrorIs(t, err, lv.ErrForbidden, "the author of a plan does not approve it")
	r, err = t.Approve(t.Context(), r.ID, lv.By{Actor: "bob"})
	require.NoError(t, err)
	return r
}

// shows checks what a table shows now.
func (t *serviceTest) shows(table *lv.Table, v lv.View, want ...string) {
	t.Helper()
	require.Equal(t, want, shown(list(t, table.Rows(t.Context(), v))), "%+v", v)
}

// eventually waits until something holds.
func (t *serviceTest) eventually(why string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		require.Less(t, time.Since(began), 4*suitetest.Soon, why)
	}
}

func shownAgain(t *serviceTest) {
	for _, row := range []string{"a", "b", "c"} {
		t.save(row, "1")
	}
	t.publish(lv.Production, "a", "b", "c")
	v := t.save("a", "2")
	t.publish(green, "a")
	_, err := t.Delete(t.Context(), "b", ann)
	require.NoError(t, err)
	t.publish(green, "b")
	s := strategy(v)
	_, err = t.SaveStrategy(t.Context(), s, ann)
	require.NoError(t, err)

	visitor := lv.Attributes{"user.city": "Nice"}
	for _, table := range []*lv.Table{t.Table, t.serve(t.store, lv.Config{}), t.serve(t.again(), lv.Config{})} {
		t.shows(table, lv.View{}, "a=1", "b=1", "c=1")
		t.shows(table, lv.View{For: visitor}, "a=2", "b=1", "c=1")
		t.shows(table, lv.View{Env: green}, "a=2", "c=1")
		t.shows(table, lv.View{Env: green, Own: true}, "a=2", "b")
		t.shows(table, lv.View{Env: blue}, "a=1", "b=1", "c=1")
		t.shows(table, lv.View{Rows: []string{"c", "missing", "a", "c"}}, "c=1", "a=1", "c=1")
	}
}

func supersededDeletion(t *serviceTest) {
	t.save("a", "1")
	t.publish(lv.Production, "a")
	d, err := t.Delete(t.Context(), "a", ann)
	require.NoError(t, err)
	_, err = t.Release(t.Context(), green, ann, d.ID)
	require.NoError(t, err)
	t.shows(t.Table, lv.View{Env: green})
	t.save("a", "1")
	_, err = t.Release(t.Context(), lv.Production, ann, d.ID)
	require.ErrorIs(t, err, lv.ErrStale, "the row was saved again")
	t.shows(t.Table, lv.View{}, "a=1")
}

func revertConflict(t *serviceTest) {
	t.save("a", "1")
	t.publish(lv.Production, "a")
	t.save("a", "2")
	t.save("b", "2")
	r := t.publish(lv.Production, "a", "b")
	back, err := t.Revert(t.Context(), r.ID, ann)
	require.NoError(t, err)
	require.Equal(t, r.ID, back.Reverts)
	t.shows(t.Table, lv.View{}, "a=1")
	_, err = t.Revert(t.Context(), back.ID, ann)
	require.NoError(t, err)
	v := t.save("b", "3")
	t.publish(lv.Production, "b")
	_, err = t.Revert(t.Context(), r.ID, ann)
	var conflict *lv.ConflictError
	require.True(t, errors.As(err, &conflict), "%v", err)
	require.Len(t, conflict.Changes, 1, "what has moved since")
	require.Equal(t, "b", conflict.Changes[0].Row)
	require.Equal(t, v.ID, conflict.Changes[0].From)
	t.shows(t.Table, lv.View{}, "a=2", "b=3")
}

func revertMoved(t *serviceTest) {
	var rows []string
	var edits []lv.Edit
	for i := range 50 {
		rows = append(rows, fmt.Sprint("row ", i))
		edits = append(edits, saving(rows[i], "1"))
	}
	_, err := t.Edit(t.Context(), ann, edits...)
	require.NoError(t, err)
	t.publish(lv.Production, rows...)
	for _, row := range rows[:3] {
		t.save(row, "2")
	}
	r := t.publish(lv.Production, rows...) // moves three of them
	t.save(rows[49], "3")
	t.publish(lv.Production, rows[49])
	seen := lv.View{Rows: []string{rows[0], rows[1], rows[2], rows[3], rows[49]}}
	t.shows(t.Table, seen, "row 0=2", "row 1=2", "row 2=2", "row 3=1", "row 49=3")
	back, err := t.Revert(t.Context(), r.ID, ann)
	require.NoError(t, err)
	require.Len(t, back.Changes, 3, "what the release moved is put back")
	t.shows(t.Table, seen, "row 0=1", "row 1=1", "row 2=1", "row 3=1", "row 49=3")
}

func seeEachOther(t *serviceTest) {
	const writers, writes = 4, 10
	tables := []*lv.Table{t.Table, t.serve(t.again(), lv.Config{})}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			mine := tables[i%2]
			row := fmt.Sprint("row ", i)
			for n := range writes {
				_, err := mine.Save(t.Context(), row, page(fmt.Sprint(n)), ann)
				if err == nil {
					_, err = mine.Publish(t.Context(), lv.Production, ann, row)
				}
				if !assert.NoError(t, err) {
					return
				}
				got, err := mine.Get(t.Context(), row, lv.View{})
				assert.NoError(t, err)
				assert.Equal(t, string(page(fmt.Sprint(n))), string(got.Content), "who has published sees it")
			}
		})
	}
	wg.Wait()
	want := list(t, t.store.Rows(t.Context(), pages, lv.View{}))
	require.Len(t, want, writers)
	for _, table := range tables {
		t.eventually("a service that runs sees what others release", func() bool {
			return assert.ObjectsAreEqual(want, list(t, table.Rows(t.Context(), lv.View{})))
		})
	}
}

func oneApplies(t *serviceTest) {
	others := []*lv.Table{t.serve(t.again(), lv.Config{}), t.serve(t.again(), lv.Config{})}
	plan := t.plan(t.save("a", "1"))
	t.save("a", "2")
	_, err := t.Schedule(t.Context(), plan.ID, time.Now().Add(time.Second), ann)
	require.NoError(t, err)
	for _, table := range append(others, t.Table) {
		t.shows(table, lv.View{})
	}
	for _, table := range append(others, t.Table) {
		t.eventually("a release that is due is applied", func() bool {
			_, err := table.Get(t.Context(), "a", lv.View{})
			return err == nil
		})
		t.shows(table, lv.View{}, "a=1")
	}
	time.Sleep(50 * time.Millisecond) // in which others would apply it again
	releases := list(t, t.Releases(t.Context(), lv.Query{}))
	require.Len(t, releases, 1)
	require.Equal(t, lv.ReleaseApplied, releases[0].State)
	require.Equal(t, plan.Rev+2, releases[0].Rev, "one of many applies it, once")
}

func scheduledFails(t *serviceTest) {
	plan := t.plan(t.save("a", "1"))
	_, err := t.Schedule(t.Context(), plan.ID, time.Now().Add(time.Second), ann)
	require.NoError(t, err)
	t.save("a", "2")
	t.publish(lv.Production, "a")
	t.eventually("a release that meets a conflict fails", func() bool {
		return len(list(t, t.Releases(t.Context(), lv.Query{State: lv.ReleaseFailed}))) == 1
	})
	t.shows(t.Table, lv.View{}, "a=2")
	require.ErrorIs(t, t.Cancel(t.Context(), plan.ID, ann), lv.ErrTooLate)
}

func dueInOrder(t *serviceTest) {
	others := []*lv.Table{t.serve(t.again(), lv.Config{}), t.serve(t.again(), lv.Config{})}
	var plans []lv.Release
	for i := range 6 {
		plans = append(plans, t.planned(expecting(to(t.save("a", fmt.Sprint(i))), lv.Any)))
	}
	at := time.Now().Add(time.Second)
	for i, ms := range []int{30, 10, 20, 10, 0, 20} {
		_, err := t.Schedule(t.Context(), plans[i].ID, at.Add(time.Duration(ms)*time.Millisecond), ann)
		require.NoError(t, err)
	}
	for _, table := range append(others, t.Table) {
		t.eventually("releases that are due are applied", func() bool {
			row, err := table.Get(t.Context(), "a", lv.View{})
			return err == nil && string(row.Content) == string(page("0"))
		})
	}
	releases := list(t, t.Releases(t.Context(), lv.Query{State: lv.ReleaseApplied}))
	slices.SortFunc(releases, func(a, b lv.Release) int { return cmp.Compare(a.Seq, b.Seq) })
	require.Len(t, releases, len(plans))
	for i, plan := range []int{4, 1, 3, 2, 5, 0} {
		require.Equal(t, plans[plan].ID, releases[i].ID, "in the place %d", i)
		require.Equal(t, plans[plan].Rev+2, releases[i].Rev, "one of many applies it, once")
	}
}

func serviceWhole(t *serviceTest) {
	rows := make([]string, 20)
	var edits []lv.Edit
	publishAll := func(name string) {
		edits = edits[:0]
		for i := range rows {
			rows[i] = fmt.Sprintf("row %02d", i)
			edits = append(edits, saving(rows[i], name))
		}
		_, err := t.Edit(t.Context(), ann, edits...)
		require.NoError(t, err)
		t.publish(lv.Production, rows...)
	}
	publishAll("0")
	other := t.serve(t.again(), lv.Config{})
	var done atomic.Bool
	var reading, wg sync.WaitGroup
	for i := range 8 {
		table := []*lv.Table{t.Table, other}[i%2]
		reading.Add(1)
		wg.Go(func() {
			for n := 0; !done.Load() || n < 3; n++ {
				seen := make(map[string]int)
				for r, err := range table.Rows(context.Background(), lv.View{}) {
					if !assert.NoError(t, err) {
						break
					}
					seen[string(r.Content)]++
				}
				assert.Len(t, seen, 1, "a release is seen whole")
				if n == 2 {
					reading.Done()
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	reading.Wait()
	for i := range 20 {
		publishAll(fmt.Sprint(i + 1))
	}
	done.Store(true)
	wg.Wait()
}

func retained(t *serviceTest) {
	var versions []lv.Version
	for i := range 10 {
		versions = append(versions, t.save("a", fmt.Sprint(i)))
		if i == 2 || i == 4 || i == 6 {
			t.publish(lv.Production, "a")
		}
	}
	t.plan(versions[1])
	s := strategy(versions[8])
	_, err := t.SaveStrategy(t.Context(), s, ann)
	require.NoError(t, err)
	before := readAll(t, t.store, pages)
	// The newest, what production shows, what a revert would bring back, what
	// is planned, and what a strategy shows.
	want := []lv.VersionID{versions[9].ID, versions[8].ID, versions[6].ID, versions[4].ID, versions[1].ID}
	t.serve(t.again(), lv.Config{Retain: lv.Retention{Versions: 1}})
	t.eventually("what nothing refers to is forgotten", func() bool {
		return len(list(t, t.History(t.Context(), lv.Query{}))) == len(want)
	})
	after := readAll(t, t.store, pages)
	require.Equal(t, want, ids(after.Versions))
	after.Versions = before.Versions
	require.Equal(t, before, after, "forgetting changes no other read")
	_, err = t.Revert(t.Context(), before.Releases[1].ID, ann)
	require.NoError(t, err, "what can be reverted stays so")
	t.shows(t.Table, lv.View{}, "a=4")
}
