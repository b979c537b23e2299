package lvtest

import (
	"fmt"
	"iter"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// wrongContents are what a content may be after damage: another one, and none.
var wrongContents = [][]byte{
	[]byte(`{"name":"2"}`), []byte(`{"name":1}`), []byte(`{"name":"1}`), []byte(`{"name":"1"}}`), []byte("{\"name\":\"\xff\"}"), {}, nil,
}

// damagedCases are for engines that something else than they can reach.
var damagedCases = []storeCase{
	{"a damaged content is not shown, and the others are", damagedRows},
	{"a damaged content is in no history, and the others are", damagedHistory},
	{"a damaged content is left out of its event", damagedEvents},
	{"a damaged version is not published", damagedPublished},
	{"a damaged version is not rolled back to", damagedRolledBack},
	{"what is damaged says the same as nothing", damagedSaved},
	{"what refers to a damaged version can be given up", damagedGivenUp},
}

// damaged checks that an error is about a version.
func damaged(t *storeTest, v lv.Version, err error, why string) {
	t.Helper()
	var damage *lv.CorruptError
	require.ErrorAs(t, err, &damage, why)
	require.ErrorIs(t, err, lv.ErrCorrupt)
	require.Equal(t, lv.CorruptError{Table: pages, Row: v.Row, Version: v.ID}, *damage, why)
}

// survivors reads a list to its end, and returns what comes without an error
// and what comes with that of a version.
func survivors[T any](t *storeTest, all iter.Seq2[T, error], v lv.Version) (sound, broken []T) {
	t.Helper()
	for one, err := range all {
		if err == nil {
			sound = append(sound, one)
			continue
		}
		damaged(t, v, err, "of the version that is damaged")
		broken = append(broken, one)
	}
	return sound, broken
}

// threeRows saves and publishes a, b and c, and damages b.
func (t *storeTest) threeRows(content []byte) (b lv.Version) {
	t.Helper()
	b = t.write(saving("a", "1"), saving("b", "1"), saving("c", "1"))[1]
	t.publish(lv.Production, "a", "b", "c")
	t.publish(green, "b")
	t.damage(b.ID, content)
	return b
}

// eachDamage runs f for each wrong content, in a row of its own.
func eachDamage(t *storeTest, f func(name string, content []byte)) {
	for i, content := range wrongContents {
		f(fmt.Sprint("row ", i), content)
	}
}

func damagedRows(t *storeTest) {
	b := t.threeRows(wrongContents[0])
	at := t.info().Seq
	t.writeElsewhere("1")
	for _, content := range wrongContents {
		t.damage(b.ID, content)
		for _, v := range []lv.View{
			{}, {Working: true}, {Env: green}, {Env: blue}, {AsOf: at}, {Working: true, AsOf: at}, {Env: green, AsOf: at},
			{Working: true, Status: lv.StatusPublished}, {Rows: []string{"a", "b", "c"}}, {Rows: []string{"a", "b", "c"}, Working: true},
		} {
			sound, broken := survivors(t, t.Rows(t.Context(), pages, v), b)
			require.Equal(t, []string{"a=1", "c=1"}, shown(sound), "%q in %+v", content, v)
			require.Len(t, broken, 1, "%q in %+v", content, v)
			require.Equal(t, []any{"b", b.ID, true}, []any{broken[0].ID, broken[0].Version, broken[0].Corrupt})
			require.Nil(t, broken[0].Content)
			require.Equal(t, sound[0].UpdatedAt, broken[0].UpdatedAt)
		}
		sound, broken := survivors(t, t.Rows(t.Context(), pages, lv.View{Env: green, Own: true}), b)
		require.Empty(t, sound)
		require.Len(t, broken, 1)
	}
	many := make([]lv.Edit, 600)
	for i := range many {
		many[i] = saving(fmt.Sprintf("row %03d", i), "1")
	}
	t.write(many...)
	sound, broken := survivors(t, t.Rows(t.Context(), pages, lv.View{Working: true}), b)
	require.Len(t, sound, 602)
	require.Len(t, broken, 1)
	t.damage(b.ID, page("1"))
	t.shows(lv.View{}, "a=1", "b=1", "c=1")
}

func damagedHistory(t *storeTest) {
	b := t.threeRows(page("1"))
	later := t.save("b", "2")
	back := t.rollback(b)
	for _, content := range wrongContents {
		t.damage(b.ID, content)
		all := slices.Collect(keys(t.Versions(t.Context(), pages, lv.Query{Row: "b"})))
		require.Equal(t, []lv.VersionID{back.ID, later.ID, b.ID}, ids(all))
		var faults []error
		for _, err := range t.Versions(t.Context(), pages, lv.Query{Row: "b"}) {
			faults = append(faults, err)
		}
		damaged(t, back, faults[0], "it has the content of the other")
		require.NoError(t, faults[1])
		damaged(t, b, faults[2], "it is damaged")
		require.Nil(t, all[0].Content)
		require.Nil(t, all[2].Content)
		require.Equal(t, b.Time, all[2].Time)
		_, found := survivors(t, t.Versions(t.Context(), pages, lv.Query{ID: int64(b.ID)}), b)
		require.Equal(t, all[2:], found, "it is found by its id all the same")
		require.JSONEq(t, string(page("2")), string(all[1].Content))
	}
}

// keys yields what a list yields, whatever comes with it.
func keys[T any](all iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for one := range all {
			if !yield(one) {
				return
			}
		}
	}
}

func damagedEvents(t *storeTest) {
	b := t.threeRows(wrongContents[0])
	s, err := t.PutStrategy(t.Context(), pages, strategy(t.save("d", "1")), ann)
	require.NoError(t, err)
	t.damage(s.Target, wrongContents[2])
	for _, content := range wrongContents {
		t.damage(b.ID, content)
		log := t.log()
		require.Len(t, log, 5, "the feed goes on")
		for _, e := range log {
			for _, c := range e.Rows {
				damaged := c.Row == "b" || c.Row == "d"
				require.Equal(t, damaged, c.Corrupt, "%+v", c)
				require.Equal(t, damaged, c.Content == nil, "%+v", c)
				require.False(t, c.UpdatedAt.IsZero())
			}
		}
	}
}

func damagedPublished(t *storeTest) {
	eachDamage(t, func(row string, content []byte) {
		old := t.save(row, "0")
		t.publish(lv.Production, row)
		v := t.save(row, "1")
		t.damage(v.ID, content)
		seq := t.info().Seq
		for what, r := range map[string]lv.Release{
			"publish": applied(lv.Production, working(row)...), "release": applied(lv.Production, to(v)),
			"a gray": applied(green, to(v)), "a plan": draft(to(v)),
		} {
			_, err := t.PutRelease(t.Context(), pages, r, ann)
			damaged(t, v, err, what)
		}
		_, err := t.PutStrategy(t.Context(), pages, strategy(v), ann)
		damaged(t, v, err, "a strategy")
		require.Equal(t, seq, t.info().Seq, "what is refused writes nothing")
		t.shows(lv.View{Rows: []string{row}}, row+"=0")
		t.release(lv.Production, lv.Change{Row: row})
		t.release(lv.Production, to(old))
	})
}

func damagedRolledBack(t *storeTest) {
	eachDamage(t, func(row string, content []byte) {
		v := t.save(row, "1")
		t.save(row, "2")
		t.damage(v.ID, content)
		_, err := t.Write(t.Context(), pages, []lv.Edit{saving("beside", row), rolling(v)}, ann)
		damaged(t, v, err, "a rollback")
		t.shows(lv.View{Working: true, Rows: []string{row, "beside"}}, row+"=2")
	})
}

func damagedSaved(t *storeTest) {
	eachDamage(t, func(row string, content []byte) {
		v := t.save(row, "1")
		t.publish(lv.Production, row)
		t.damage(v.ID, content)
		again := t.save(row, "1")
		require.NotEqual(t, v.ID, again.ID, "a new version takes the place")
		t.publish(lv.Production, row)
		t.shows(lv.View{Rows: []string{row}}, row+"=1")
		require.Equal(t, again.ID, t.save(row, "1").ID, "and the same is the same again")
	})
}

func damagedGivenUp(t *storeTest) {
	eachDamage(t, func(row string, content []byte) {
		t.save(row, "0")
		t.publish(lv.Production, row)
		v := t.save(row, "1")
		plans := []lv.Release{t.put(draft(to(v))), t.put(draft(to(v)))}
		s, err := t.PutStrategy(t.Context(), pages, strategy(v), ann)
		require.NoError(t, err)
		t.save(row, "2")
		t.damage(v.ID, content)
		for i, state := range []lv.ReleaseState{lv.ReleaseCancelled, lv.ReleaseFailed} {
			plans[i].State = lv.ReleaseApplied
			_, err := t.PutRelease(t.Context(), pages, plans[i], ann)
			damaged(t, v, err, "a plan")
			plans[i].State = state
			t.put(plans[i])
		}
		s.Disabled = true
		s, err = t.PutStrategy(t.Context(), pages, s, ann)
		require.NoError(t, err, "it can be switched off")
		s.Deleted = true
		_, err = t.PutStrategy(t.Context(), pages, s, ann)
		require.NoError(t, err, "and deleted")
		forgotten := t.write(forgetting(v))
		require.Equal(t, v.ID, forgotten[0].ID)
		require.Nil(t, forgotten[0].Content)
		for one, err := range t.Versions(t.Context(), pages, lv.Query{Row: row}) {
			require.NoError(t, err)
			require.NotEqual(t, v.ID, one.ID)
		}
	})
}
