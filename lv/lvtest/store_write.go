package lvtest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// requireStamp checks that an instant is of the engine's clock; that of
// testing/synctest begins with the year 2000.
func requireStamp(t testing.TB, at time.Time) {
	t.Helper()
	require.GreaterOrEqual(t, at.Year(), 2000, "the engine sets the time")
	require.Equal(t, time.UTC, at.Location(), "times are UTC")
	require.Zero(t, at.Nanosecond()%int(time.Millisecond), "times are whole milliseconds")
}

func savedRow(t *storeTest) {
	const content = `{"b": 1.50, "a":"<&>"}`
	by := lv.By{Actor: "ann", Reason: "first"}
	versions, err := t.Write(t.Context(), pages, []lv.Edit{{Op: lv.OpSave, Row: "a", Content: json.RawMessage(content)}}, by)
	require.NoError(t, err)
	v := versions[0]
	require.Positive(t, v.ID)
	requireStamp(t, v.Time)
	want := lv.Version{ID: v.ID, Row: "a", Op: lv.OpSave, Content: json.RawMessage(content), By: by, Time: v.Time}
	require.Equal(t, want, v, "Write returns the version")
	require.Equal(t, []lv.Version{want}, t.history(lv.Query{}), "the history has the version")
	row := lv.Row{
		ID: "a", Version: v.ID, Content: json.RawMessage(content), Status: lv.StatusChanged,
		CreatedAt: v.Time, UpdatedAt: v.Time,
	}
	require.Equal(t, []lv.Row{row}, t.rows(lv.View{Working: true}), "the working row is what was saved")
	t.shows(lv.View{}, []string(nil)...)

	time.Sleep(10 * time.Millisecond)
	w := t.save("a", "2")
	row.Version, row.Content, row.UpdatedAt = w.ID, w.Content, w.Time
	require.True(t, w.Time.After(v.Time), "the engine's clock goes on")
	require.Equal(t, []lv.Row{row}, t.rows(lv.View{Working: true}), "a row keeps the time of its creation")
}

func idsRise(t *storeTest) {
	var last lv.VersionID
	for i := range 20 {
		table := []lv.TableID{pages, banners}[i%2]
		versions, err := t.Write(t.Context(), table, []lv.Edit{saving("a", fmt.Sprint(i)), saving("b", fmt.Sprint(i))}, ann)
		require.NoError(t, err)
		for _, v := range versions {
			require.Greater(t, v.ID, last, "ids of versions rise in the whole store")
			last = v.ID
		}
	}
}

func sameContent(t *storeTest) {
	first := t.saveJSON("a", `{"id": 9007199254740993, "tags": [1, 2], "x": 1.0}`)
	t.unchanged(func() {
		for _, content := range []string{
			`{"id": 9007199254740993, "tags": [1, 2], "x": 1.0}`,
			` { "x":1.0,"tags":[1,2] , "id":9007199254740993 } `,
			`{"\u0069d":9007199254740993,"tags":[1,2],"x":1.0}`,
		} {
			require.Equal(t, first, t.saveJSON("a", content), "the same content makes no new version: %s", content)
		}
	})
	last := first.ID
	for _, content := range []string{
		`{"id":9007199254740992,"tags":[1,2],"x":1.0}`,
		`{"id":9007199254740992,"tags":[2,1],"x":1.0}`,
		`{"id":9007199254740992,"tags":[2,1],"x":1}`,
		`{"id":9007199254740992,"tags":[2,1],"x":null}`,
		`{"id":9007199254740992,"tags":[2,1]}`,
		`{"id":"9007199254740992","tags":[2,1]}`,
		`null`,
	} {
		v := t.saveJSON("a", content)
		require.Greater(t, v.ID, last, "other content makes a new version: %s", content)
		require.Equal(t, content, string(v.Content))
		last = v.ID
	}
	require.Greater(t, t.saveJSON("b", `null`).ID, last, "the same content of another row is another version")
}

// awkward are texts that engines like to change.
var awkward = []string{
	"/", "a/b", "%", "%2F", "_", "?", "#", "batch", "..", " ", " a", "a ", "A", "a", "é", "e\u0301", "ß", "日本",
	"\U0001F600", "'", "\"", "\\", "--", "<&>", "NULL", "0", "00", "\t", "\n", "\u2028", strings.Repeat("x", 512),
}

func textsReturn(t *storeTest) {
	var edits []lv.Edit
	for _, s := range awkward {
		edits = append(edits, saving(s, s))
	}
	t.write(edits...)
	t.publish(lv.Production, awkward...)
	for _, s := range awkward {
		env, table := lv.Env(s), lv.TableID{App: s, Schema: "s" + s}
		t.publish(env, s)
		rows := t.rows(lv.View{Env: env, Own: true})
		require.Len(t, rows, 1, "ids of rows and environments are compared byte by byte: %q", s)
		require.Equal(t, s, rows[0].ID)
		require.Equal(t, page(s), rows[0].Content)
		require.Len(t, t.history(lv.Query{Row: s}), 1, "%q", s)

		by := lv.By{Actor: s, Reason: s}
		_, err := t.Write(t.Context(), table, []lv.Edit{saving(s, s)}, by)
		require.NoError(t, err)
		r, err := t.PutRelease(t.Context(), table, lv.Release{Env: env, State: lv.ReleaseApplied, Changes: working(s)}, by)
		require.NoError(t, err)
		require.Equal(t, []lv.By{by, by}, []lv.By{r.By, r.Last}, "a release keeps its texts")
		version := list(t, t.Versions(t.Context(), table, lv.Query{}))
		require.Len(t, version, 1, "tables are compared byte by byte: %q", s)
		require.Equal(t, by, version[0].By, "a version keeps its texts")
		require.Equal(t, []lv.Env{env}, version[0].Live)
		infos := list(t, t.Tables(t.Context(), table))
		require.Len(t, infos, 1)
		require.Equal(t, table, infos[0].ID)
		require.Equal(t, []lv.Env{env}, infos[0].Envs)
	}
}

func contentsReturn(t *storeTest) {
	for i, content := range []string{
		`{"id":9223372036854775807,"more":-9007199254740993,"float":1.10,"exp":1E+2,"zero":-0}`,
		"{\n\t\"b\": [ ],\r\n \"a\": {  } }",
		`{"html":"<a href=\"?a&b\">","u":"\u00e9\ud83d\ude00é😀","sep":"\u2028","nul":"\u0000"}`,
		`[1,2,3]`, `"text"`, `true`, `null`, `0`,
		`"` + strings.Repeat("long ", 200_000) + `"`,
	} {
		row := fmt.Sprint(i)
		v := t.saveJSON(row, content)
		t.publish(lv.Production, row)
		for what, got := range map[string]json.RawMessage{
			"the answer":  v.Content,
			"the history": t.newest(row).Content,
			"the working": t.row(lv.View{Working: true, Rows: []string{row}}).Content,
			"production":  t.row(lv.View{Rows: []string{row}}).Content,
		} {
			require.Equal(t, content, string(got), "%s has the content byte by byte", what)
		}
	}
}

func editsAllOrNone(t *storeTest) {
	first := t.save("a", "1")
	t.remove("a")
	for _, bad := range []struct {
		lv.Edit
		want error
	}{
		{deleting("never"), lv.ErrNotFound},
		{lv.Edit{Op: lv.OpRestore, Version: first.ID + 1000}, lv.ErrNotFound},
		{lv.Edit{Op: lv.OpForget, Version: first.ID + 1000}, lv.ErrNotFound},
		{saving("", "no row"), lv.ErrInvalid},
		{lv.Edit{Op: lv.OpSave, Row: "b", Content: json.RawMessage(`{"a":`)}, lv.ErrInvalid},
	} {
		t.refusedEdits(bad.want, "one bad edit spoils all",
			saving("b", "1"), saving("a", "2"), forgetting(first), bad.Edit, saving("c", "1"))
	}
}

func editsInOrder(t *storeTest) {
	old := t.save("a", "old")
	before := len(t.log())
	versions := t.write(saving("b", "1"), rolling(old), saving("a", "1"), deleting("b"), saving("a", "2"), rolling(old))
	var last lv.VersionID
	for i, want := range []lv.Version{
		{Row: "b", Op: lv.OpSave, Content: page("1")},
		old, // which it was
		{Row: "a", Op: lv.OpSave, Content: page("1")},
		{Row: "b", Op: lv.OpDelete},
		{Row: "a", Op: lv.OpSave, Content: page("2")},
		{Row: "a", Op: lv.OpRestore, Content: page("old"), Source: old.ID},
	} {
		got := versions[i]
		if want.ID == 0 {
			require.Greater(t, got.ID, last, "versions rise in the order of the edits")
			want.ID, want.Time, want.By, last = got.ID, got.Time, ann, got.ID
		}
		require.Equal(t, want, got, "edits are answered in their order: %d", i)
	}
	t.shows(lv.View{Working: true}, "a=old")
	require.Len(t, t.log(), before+1, "one call leaves one event")
}

func invalidEdits(t *storeTest) {
	t.save("a", "1")
	t.refusedEdits(lv.ErrInvalid, "no edits")
	for why, bad := range map[string]lv.Edit{
		"no operation":           {Row: "a", Content: page("2")},
		"an unknown operation":   {Op: "drop", Row: "a", Content: page("2")},
		"no row to save":         {Op: lv.OpSave, Content: page("2")},
		"no row to delete":       {Op: lv.OpDelete},
		"no content":             {Op: lv.OpSave, Row: "a"},
		"no JSON":                {Op: lv.OpSave, Row: "a", Content: json.RawMessage(`{name: "2"}`)},
		"two values":             {Op: lv.OpSave, Row: "a", Content: json.RawMessage(`1 2`)},
		"a name twice":           {Op: lv.OpSave, Row: "a", Content: json.RawMessage(`{"a":1,"a":2}`)},
		"what is not UTF-8":      {Op: lv.OpSave, Row: "a", Content: json.RawMessage("\"\xff\"")},
		"half a surrogate pair":  {Op: lv.OpSave, Row: "a", Content: json.RawMessage(`"\ud800"`)},
		"content without an end": {Op: lv.OpSave, Row: "a", Content: json.RawMessage(`{"a":1`)},
	} {
		t.refusedEdits(lv.ErrInvalid, why, bad)
	}
}

func carefulEdits(t *storeTest) {
	careful := func(e lv.Edit, expect lv.VersionID) lv.Edit { e.Expect = &expect; return e }
	moved := func(row string, from, expect lv.VersionID) lv.Change {
		return lv.Change{Row: row, From: from, Expect: &expect}
	}
	conflicts := func(want []lv.Change, edits ...lv.Edit) {
		t.Helper()
		t.refused(lv.ErrConflict, "a row is not where it is expected", func() error {
			_, err := t.Write(t.Context(), pages, edits, lv.By{Actor: "ann", RequestID: "careful"})
			var conflict *lv.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, want, conflict.Changes, "all of them are listed, with what is there")
			return err
		})
	}
	v1 := t.write(careful(saving("a", "1"), 0))[0]
	v2 := t.write(careful(saving("a", "2"), v1.ID))[0]
	conflicts([]lv.Change{moved("a", v2.ID, v1.ID)}, careful(saving("a", "3"), v1.ID))
	conflicts([]lv.Change{moved("a", v2.ID, v1.ID)}, careful(saving("a", "2"), v1.ID)) // though it says the same
	conflicts([]lv.Change{moved("a", v2.ID, 0)}, careful(rolling(v1), 0))
	conflicts([]lv.Change{moved("a", v2.ID, v1.ID)}, careful(forgetting(v1), v1.ID))
	conflicts([]lv.Change{moved("a", v2.ID, v1.ID), moved("b", 0, v2.ID), moved("a", v2.ID, 0)},
		careful(saving("a", "3"), v1.ID), saving("c", "1"), careful(saving("b", "1"), v2.ID), careful(deleting("a"), 0))
	t.refusedEdits(lv.ErrNotFound, "what else is wrong comes first", careful(saving("a", "3"), v1.ID), deleting("never"))

	// What is expected is what was there before the call.
	left := t.write(careful(saving("a", "3"), v2.ID), careful(deleting("a"), v2.ID), careful(saving("b", "1"), 0), careful(rolling(v1), v2.ID))
	require.Equal(t, left[3].ID, t.row(lv.View{Working: true}).Version)
	deletion := t.write(careful(deleting("a"), left[3].ID))[0]
	t.unchanged(func() {
		require.Equal(t, deletion.ID, t.write(careful(deleting("a"), 0))[0].ID, "a deleted row is none")
	})
	t.write(careful(forgetting(v1), deletion.ID), careful(saving("a", "4"), deletion.ID))
	t.remove("a")
	first, err := t.Write(t.Context(), pages, []lv.Edit{careful(saving("a", "5"), 0)}, lv.By{Actor: "ann", RequestID: "careful"})
	require.NoError(t, err, "what was refused can be asked again")
	again, err := t.Write(t.Context(), pages, []lv.Edit{careful(saving("a", "5"), 0)}, lv.By{Actor: "ann", RequestID: "careful"})
	require.NoError(t, err)
	require.Equal(t, ids(first), ids(again), "a repeated request expects nothing any more")
}

func rollbackWorking(t *storeTest) {
	v1 := t.save("a", "1")
	t.publish(lv.Production, "a")
	v2 := t.save("a", "2")
	t.publish(lv.Production, "a")
	t.publish(green, "a")

	v3 := t.rollback(v1)
	require.Greater(t, v3.ID, v2.ID)
	require.Equal(t, lv.Version{
		ID: v3.ID, Row: "a", Op: lv.OpRestore, Content: page("1"), Source: v1.ID, By: ann, Time: v3.Time,
	}, v3, "a rollback is a new version that says where it comes from")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, "a=1")
	t.shows(lv.View{}, "a=2")
	t.shows(lv.View{Env: green}, "a=2")

	t.unchanged(func() {
		require.Equal(t, v3, t.rollback(v1), "a rollback to what the row says makes no new version")
		require.Equal(t, v3, t.rollback(v3), "a rollback to the working row makes no new version")
	})
	t.rollback(v2)
	t.shows(lv.View{Working: true, Status: lv.StatusPublished}, "a=2")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, []string(nil)...)
}

func rollbackUndeletes(t *storeTest) {
	v1 := t.save("a", "1")
	t.remove("a")
	v3 := t.rollback(v1)
	require.Equal(t, v1.ID, v3.Source)
	t.shows(lv.View{Working: true}, "a=1")
	t.shows(lv.View{Working: true, Deleted: true}, []string(nil)...)
	require.Equal(t, v1.Time, t.row(lv.View{Working: true}).CreatedAt, "an undeleted row keeps the time of its creation")
}

func rollbackUnknown(t *storeTest) {
	v := t.save("a", "1")
	elsewhere := t.writeElsewhere("elsewhere")
	deletion := t.remove("a")
	for _, unknown := range []lv.VersionID{0, -1, elsewhere.ID, deletion.ID + 1000, math.MaxInt64} {
		t.refusedEdits(lv.ErrNotFound, "no version of this table", lv.Edit{Op: lv.OpRestore, Version: unknown})
	}
	t.rollback(v)
	t.refusedEdits(lv.ErrInvalid, "a deletion has no content to roll back to", rolling(deletion))
}

func deletedRow(t *storeTest) {
	v1 := t.save("a", "1")
	t.save("b", "1")
	t.publish(lv.Production, "a", "b")
	t.save("never published", "1")
	time.Sleep(10 * time.Millisecond)
	d := t.remove("a")
	require.Equal(t, lv.Version{ID: d.ID, Row: "a", Op: lv.OpDelete, By: ann, Time: d.Time}, d, "a deletion is a version without content")
	require.Greater(t, d.ID, v1.ID)
	t.remove("never published")

	t.shows(lv.View{Working: true}, "b=1")
	t.shows(lv.View{}, "a=1", "b=1")
	require.Equal(t, []lv.Row{{ID: "a", Version: d.ID, Status: lv.StatusChanged, CreatedAt: v1.Time, UpdatedAt: d.Time}},
		t.rows(lv.View{Working: true, Deleted: true}), "a deletion waits for its publication if production shows the row")
	t.unchanged(func() {
		require.Equal(t, d, t.remove("a"), "what is deleted is not deleted again")
	})
	t.refusedEdits(lv.ErrNotFound, "a row that never was cannot be deleted", deleting("never"))

	require.Greater(t, t.save("a", "1").ID, d.ID, "a deleted row can be saved again")
	t.shows(lv.View{Working: true, Deleted: true}, []string(nil)...)
	t.shows(lv.View{Working: true, Status: lv.StatusPublished}, "a=1", "b=1")
}

func repeatedWrite(t *storeTest) {
	by := lv.By{Actor: "ann", RequestID: "1"}
	write := func(table lv.TableID, by lv.By, edits ...lv.Edit) ([]lv.Version, error) {
		return t.Write(t.Context(), table, edits, by)
	}
	t.refused(lv.ErrNotFound, "a bad edit", func() error { _, err := write(pages, by, deleting("a")); return err })
	first, err := write(pages, by, saving("a", "1"), saving("b", "1"))
	require.NoError(t, err, "what was refused can be asked again")
	t.save("a", "2")
	t.unchanged(func() {
		again, err := write(pages, by, saving("a", "1"), saving("b", "1"))
		require.NoError(t, err)
		require.Equal(t, ids(first), ids(again), "a repeated request returns the first answer")
	})
	last := first
	for _, other := range []lv.By{{Actor: "ann", RequestID: "2"}, {Actor: "ann"}, {Actor: "ann"}, {Actor: "ann", RequestID: "3"}} {
		next, err := write(pages, other, saving("a", fmt.Sprint("after ", ids(last))))
		require.NoError(t, err)
		require.Greater(t, nth(t, 0, next).ID, nth(t, 0, last).ID, "another request, or none, is another write")
		last = next
	}
	elsewhere, err := write(banners, by, saving("a", "1"), saving("b", "1"))
	require.NoError(t, err)
	require.NotEqual(t, ids(first), ids(elsewhere), "another table has its own requests")
}

func ids(versions []lv.Version) (ids []lv.VersionID) {
	for _, v := range versions {
		ids = append(ids, v.ID)
	}
	return ids
}
