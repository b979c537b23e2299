package lvtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// none is an empty list of what a view shows.
var none []string

func rowsByID(t *storeTest) {
	t.shows(lv.View{Working: true}, none...)
	t.shows(lv.View{}, none...)
	sorted := slices.Sorted(slices.Values(awkward))
	backwards := slices.Clone(sorted)
	slices.Reverse(backwards)
	for _, id := range awkward {
		t.save(id, "1")
		time.Sleep(time.Millisecond)
	}
	t.publish(lv.Production, backwards...)
	t.publish(green, awkward[3], awkward[9], awkward[0])
	for _, v := range []lv.View{{Working: true}, {}, {Env: green}, {Env: blue}, {Working: true, Status: lv.StatusPublished}} {
		require.Equal(t, sorted, rowIDs(t.rows(v)), "rows come by rising id, byte by byte: %+v", v)
		for i, id := range sorted {
			v.After = id
			require.Equal(t, len(sorted)-i-1, len(t.rows(v)), "After %q", id)
		}
		v.After = "Bbb" // is no row
		require.Equal(t, sorted[slices.Index(sorted, "NULL"):], rowIDs(t.rows(v)), "After need not be a row")
	}
}

func rowIDs(rows []lv.Row) (ids []string) {
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func rowsAsked(t *storeTest) {
	t.write(saving("a", "1"), saving("b", "1"), saving("c", "1"), saving("d", "1"))
	t.publish(lv.Production, "a", "b", "c", "d")
	t.publish(green, "a")
	t.write(saving("b", "2"), deleting("d"))
	t.publish(green, "d")
	asked := []string{"c", "missing", "b", "c", "d", "a"}
	t.shows(lv.View{Rows: asked}, "c=1", "b=1", "c=1", "d=1", "a=1")
	t.shows(lv.View{Rows: asked, Working: true}, "c=1", "b=2", "c=1", "a=1")
	t.shows(lv.View{Rows: asked, Working: true, Status: lv.StatusPublished}, "c=1", "c=1", "a=1")
	t.shows(lv.View{Rows: asked, Working: true, Status: lv.StatusChanged}, "b=2")
	t.shows(lv.View{Rows: asked, Working: true, Deleted: true}, "d")
	t.shows(lv.View{Rows: asked, Env: green}, "c=1", "b=1", "c=1", "a=1")
	t.shows(lv.View{Rows: asked, Env: green, Own: true}, "d", "a=1")
	t.shows(lv.View{Rows: asked, Env: blue}, "c=1", "b=1", "c=1", "d=1", "a=1")
	t.shows(lv.View{Rows: asked, After: "b"}, "c=1", "c=1", "d=1")
	t.shows(lv.View{Rows: []string{"missing"}}, none...)
	t.shows(lv.View{Rows: []string{"a"}, AsOf: t.info().Seq}, "a=1")
	for _, v := range []lv.View{
		{}, {Working: true}, {Own: true}, {Env: green}, {Env: green, Own: true}, {AsOf: t.info().Seq}, {After: "a"},
		{Working: true, AsOf: t.info().Seq}, {Working: true, Status: lv.StatusPublished}, {Working: true, Deleted: true},
	} {
		v.Rows = []string{}
		require.Empty(t, t.rows(v), "who asks for none gets none: %+v", v)
		v.Rows = nil
		require.NotEmpty(t, t.rows(v), "nil is all: %+v", v)
	}

	many := make([]string, 3000)
	for i := range many {
		many[i] = string(rune('a' + i%4))
	}
	require.Equal(t, many, rowIDs(t.rows(lv.View{Rows: many})), "any number of rows can be asked for")
}

func rowsByStatus(t *storeTest) {
	t.write(saving("edited", "1"), saving("same", "1"), saving("rolled", "1"), saving("deleted", "1"), saving("gone", "1"))
	old := t.newest("rolled")
	t.save("rolled", "2")
	t.publish(lv.Production, "edited", "same", "rolled", "deleted", "gone")
	t.write(saving("edited", "2"), rolling(old), deleting("deleted"), deleting("gone"), saving("new", "1"), saving("never", "1"))
	t.publish(lv.Production, "gone")
	t.remove("never")
	t.publish(green, "edited", "new")

	t.shows(lv.View{Working: true}, "edited=2", "new=1", "rolled=1", "same=1")
	t.shows(lv.View{Working: true, Status: lv.StatusPublished}, "same=1")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, "edited=2", "new=1", "rolled=1")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged, After: "new"}, "rolled=1")
	t.shows(lv.View{Working: true, Deleted: true}, "deleted")
	t.shows(lv.View{Working: true, Deleted: true, After: "deleted"}, none...)
	for _, r := range t.rows(lv.View{}) {
		require.Zero(t, r.Status, "only a working row has a status")
	}
}

func pagesOfRows(t *storeTest) {
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("row %03d", i))
		t.save(want[i], "1")
	}
	t.publish(lv.Production, want...)
	for name, v := range map[string]lv.View{
		"working": {Working: true}, "published": {Working: true, Status: lv.StatusPublished}, "production": {},
	} {
		var got []string
		for page := []lv.Row(nil); len(got) <= len(want); {
			if page = first(t, 7, t.Rows(t.Context(), pages, v)); len(page) == 0 {
				break
			}
			v.After = page[len(page)-1].ID
			got = append(got, slices.DeleteFunc(rowIDs(page), func(id string) bool { return !slices.Contains(want, id) })...)
			before, behind := "row 000 and "+v.After, v.After[:len("row 000")]+" and a half "+name
			t.write(saving(before, "1"), saving(behind, "1"))
			t.publish(lv.Production, before, behind)
		}
		require.Equal(t, want, got, "pages neither repeat nor skip old rows: %s", name)
	}
}

func isolatedTables(t *storeTest) {
	v := t.save("a", "1")
	t.publish(lv.Production, "a")
	t.publish(green, "a")
	t.put(draft(to(v)))
	t.putStrategy(strategy(v))
	before := readAll(t, t.VersionStore, pages)
	w := t.writeElsewhere("elsewhere")
	for _, env := range []lv.Env{lv.Production, green, blue} {
		_, err := t.PutRelease(t.Context(), banners, applied(env, working("a")...), ann)
		require.NoError(t, err)
	}
	_, err := t.PutStrategy(t.Context(), banners, strategy(w), ann)
	require.NoError(t, err)
	require.Equal(t, before, readAll(t, t.VersionStore, pages), "a table does not know another")
	all := readAll(t, t.VersionStore, banners)
	require.Equal(t, []string{"a=elsewhere"}, shown(all.Production))
	require.Len(t, all.Versions, 1)
	require.Len(t, all.Releases, 3)
	require.Equal(t, []lv.Env{blue, green}, all.Info.Envs)
	for _, same := range []lv.TableID{{App: "demo"}, {Schema: "pages"}, {App: "pages", Schema: "demo"}, {App: "demop", Schema: "ages"}} {
		require.Zero(t, readAll(t, t.VersionStore, same).Info, "%v is another table", same)
	}
}

func tablesListed(t *storeTest) {
	require.Empty(t, list(t, t.Tables(t.Context())), "a new store has no tables")
	require.Empty(t, list(t, t.Tables(t.Context(), pages)), "a table nobody has written to is left out")
	var want []lv.TableID
	for _, app := range []string{"b", "a", "B", "é"} {
		for _, schema := range []string{"y", "x"} {
			table := lv.TableID{App: app, Schema: schema}
			want = append(want, table)
			_, err := t.Write(t.Context(), table, []lv.Edit{saving("a", "1")}, ann)
			require.NoError(t, err)
		}
	}
	slices.SortFunc(want, func(a, b lv.TableID) int {
		return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Schema, b.Schema))
	})
	tables := func(ids ...lv.TableID) (got []lv.TableID) {
		for _, info := range list(t, t.Tables(t.Context(), ids...)) {
			got = append(got, info.ID)
		}
		return got
	}
	require.Equal(t, want, tables(), "tables come in the order of their names")
	require.Equal(t, []lv.TableID{want[1], want[4]}, tables(want[4], pages, want[1], want[4]), "only those named, once")
	require.Empty(t, tables([]lv.TableID{}...), "who names none gets none")

	t.refused(lv.ErrNotFound, "a bad edit", func() error {
		_, err := t.Write(t.Context(), banners, []lv.Edit{deleting("a")}, ann)
		return err
	})
	require.Empty(t, tables(banners), "what is refused makes no table")
}

func oneHistory(t *storeTest) {
	t.save("a", "1")
	name := t.info().History
	require.NotEmpty(t, name, "it has a name")
	t.publish(lv.Production, "a")
	t.writeElsewhere("elsewhere")
	for _, tables := range [][]lv.TableInfo{list(t, t.Tables(t.Context())), list(t, t.Tables(t.Context(), pages, banners))} {
		require.Len(t, tables, 2)
		for _, info := range tables {
			require.Equal(t, name, info.History, "of %v", info.ID)
		}
	}
}

func tableSeq(t *storeTest) {
	var last int64
	for _, write := range []func(){
		func() { t.save("a", "1") },
		func() { t.publish(lv.Production, "a") },
		func() { t.put(draft(lv.Change{Row: "a"})) },
		func() { t.putStrategy(strategy(t.newest("a"))) },
		func() { t.remove("a") },
	} {
		write()
		info := t.info()
		seq := info.Seq
		require.Greater(t, seq, last, "every write is an event of the table")
		last = seq
		e := nth(t, 0, collect(t, t.VersionStore, seq-1, 1))
		require.Equal(t, e.Seq, seq, "Seq is that of the table's last event")
		require.Equal(t, e.Time, info.Time, "Time is that of the table's last event")
		time.Sleep(2 * time.Millisecond)
		t.writeElsewhere(fmt.Sprint(seq))
		require.Equal(t, info, t.info(), "the events of another table are not this one's")
	}
}

// views are all ways to look at what was at some time.
func views() []lv.View {
	return []lv.View{
		{}, {Working: true}, {Env: green}, {Env: blue}, {Env: green, Own: true}, {Own: true},
		{After: "a"}, {Rows: []string{"c", "a"}}, {Working: true, Rows: []string{"c", "a"}}, {Env: green, Rows: []string{"b", "a"}},
	}
}

func asOfEvery(t *storeTest) {
	type moment struct {
		seqs [2]int64 // of the event, and of one of another table that followed
		rows [][]lv.Row
	}
	var moments []moment
	note := func() {
		m := moment{seqs: [2]int64{t.info().Seq}}
		for _, v := range views() {
			rows := t.rows(v)
			for i := range rows {
				rows[i].Status = lv.StatusAny
			}
			m.rows = append(m.rows, rows)
		}
		t.writeElsewhere(fmt.Sprint(m.seqs[0]))
		m.seqs[1] = nth(t, 0, list(t, t.Tables(t.Context(), banners))).Seq
		moments = append(moments, m)
		time.Sleep(2 * time.Millisecond)
	}
	a1 := t.save("a", "1")
	note()
	for _, write := range []func(){
		func() { t.write(saving("b", "1"), saving("c", "1"), saving("a", "2")) },
		func() { t.publish(lv.Production, "a", "b") },
		func() { t.publish(green, "a", "c") },
		func() { t.save("a", "3") },
		func() { t.remove("c") },
		func() { t.publish(blue, "c", "a") },
		func() { t.rollback(a1) },
		func() { t.publish(lv.Production, "a", "b", "c") },
		func() { t.release(green, lv.Change{Row: "a"}, lv.Change{Row: "c"}) },
		func() { t.release(lv.Production, lv.Change{Row: "b"}) },
		func() { t.write(saving("c", "4"), deleting("a")) },
		func() { t.publish(lv.Production, "c", "a") },
	} {
		write()
		note()
	}
	for i, m := range moments {
		for j, v := range views() {
			for _, v.AsOf = range m.seqs {
				require.Equal(t, m.rows[j], t.rows(v), "after write %d it was this: %+v", i, v)
			}
		}
	}
	for _, v := range []lv.View{{Status: lv.StatusPublished}, {Status: lv.StatusChanged}, {Deleted: true}} {
		requireFails(t, lv.ErrInvalid, t.Rows(t.Context(), pages, v))
		v.Working, v.AsOf = true, moments[3].seqs[0]
		requireFails(t, lv.ErrInvalid, t.Rows(t.Context(), pages, v))
	}
	requireFails(t, lv.ErrNotFound, t.Rows(t.Context(), pages, lv.View{AsOf: t.info().Seq + 1000}))
	early := lv.View{Working: true, AsOf: moments[0].seqs[0]}
	require.Empty(t, list(t, t.Rows(t.Context(), banners, early)), "before its first event a table is empty")
}
