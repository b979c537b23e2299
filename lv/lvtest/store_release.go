package lvtest

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func published(t *storeTest) {
	v1 := t.save("a", "1")
	t.save("b", "1")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, "a=1", "b=1")
	why := lv.By{Actor: "ann", Reason: "first", RequestID: "publication"}
	r, err := t.PutRelease(t.Context(), pages, lv.Release{
		Env: lv.Production, State: lv.ReleaseApplied, Changes: working("a"), Approver: "bob", Reverts: 7,
	}, why)
	require.NoError(t, err)
	requireStamp(t, r.CreatedAt)
	want := lv.Release{
		ID: r.ID, State: lv.ReleaseApplied, By: why, Last: why, Approver: "bob", Reverts: 7,
		Changes:   []lv.Change{{Row: "a", To: v1.ID}},
		CreatedAt: r.CreatedAt, AppliedAt: r.CreatedAt, Seq: t.info().Seq, Rev: 1,
	}
	require.Positive(t, r.ID)
	require.Equal(t, want, plain(r), "a release says what it has done")
	require.Equal(t, []lv.Release{want}, plainAll(t.releases(lv.Query{})), "the list has the release")
	require.Equal(t, []lv.Row{{ID: "a", Version: v1.ID, Content: page("1"), CreatedAt: v1.Time, UpdatedAt: v1.Time}},
		t.rows(lv.View{}), "production shows the version")
	t.shows(lv.View{Working: true, Status: lv.StatusPublished}, "a=1")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, "b=1")

	v2 := t.save("a", "2")
	t.shows(lv.View{}, "a=1")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, "a=2", "b=1")
	r = t.publish(lv.Production, "b", "a")
	require.Equal(t, []lv.Change{{Row: "b", To: t.newest("b").ID}, {Row: "a", From: v1.ID, To: v2.ID}},
		plain(r).Changes, "a release says what was there, in the order of its changes")
	t.shows(lv.View{}, "a=2", "b=1")
}

// plain leaves out of a release how it was asked for.
func plain(r lv.Release) lv.Release {
	r.Changes = plainChanges(r.Changes)
	return r
}

func plainChanges(changes []lv.Change) (plain []lv.Change) {
	for _, c := range changes {
		c.Expect, c.Working = nil, false
		plain = append(plain, c)
	}
	return plain
}

func plainAll(all []lv.Release) (plainAll []lv.Release) {
	for _, r := range all {
		plainAll = append(plainAll, plain(r))
	}
	return plainAll
}

func statusByContent(t *storeTest) {
	v1 := t.saveJSON("a", `{"a": 1.0, "b": [1, 2]}`)
	t.publish(lv.Production, "a")
	status := func(want lv.Status, why string) {
		t.Helper()
		require.Equal(t, want, t.row(lv.View{Working: true}).Status, why)
	}
	status(lv.StatusPublished, "what was just published")
	t.saveJSON("a", `{"a": 1.0, "b": [2, 1]}`)
	status(lv.StatusChanged, "what was edited since")
	v3 := t.saveJSON("a", "{\"b\":[1,2],\n\"a\":1.0}")
	status(lv.StatusPublished, "the same content, edited back and written in another way")
	t.rollback(v1)
	status(lv.StatusPublished, "the published version once more")
	t.saveJSON("a", `{"a": 1, "b": [1, 2]}`)
	status(lv.StatusChanged, "another number literal")
	t.release(lv.Production, to(v3))
	status(lv.StatusChanged, "the pointer has moved to the same content")
	t.publish(green, "a")
	status(lv.StatusChanged, "what only a gray shows")
	t.publish(lv.Production, "a")
	status(lv.StatusPublished, "what was just published")
	t.release(lv.Production, lv.Change{Row: "a"})
	status(lv.StatusChanged, "what production shows no longer")
}

func publishedAgain(t *storeTest) {
	v1, b1 := t.save("a", "1"), t.save("b", "1")
	first := t.publish(lv.Production, "a", "b")
	same := func(want lv.Release, env lv.Env, changes ...lv.Change) {
		t.Helper()
		t.unchanged(func() {
			require.Equal(t, plain(want), plain(t.release(env, changes...)), "the release that moved there last is returned")
		})
	}
	same(first, lv.Production, working("a", "b")...)
	same(first, lv.Production, to(v1))
	same(first, lv.Production, expecting(to(b1), b1.ID))
	same(lv.Release{}, green, lv.Change{Row: "a"})

	v2 := t.save("a", "2")
	second := t.release(lv.Production, to(v2), to(b1)) // moves a alone
	t.save("c", "1")
	t.publish(lv.Production, "c")
	t.publish(green, "a")
	same(second, lv.Production, to(v2))
	same(second, lv.Production, to(v2), to(b1))
	same(first, lv.Production, to(b1))
	require.Len(t, t.releases(lv.Query{}), 4)
	back := t.release(lv.Production, to(v1))
	require.NotEqual(t, first.ID, back.ID, "a pointer that comes back has moved")
	same(back, lv.Production, to(v1))
}

func graysFollow(t *storeTest) {
	t.save("a", "1")
	t.save("b", "1")
	t.publish(lv.Production, "a", "b")
	t.publish(green, "a")
	require.Equal(t, []lv.Env{green}, t.info().Envs, "the first publication makes a gray")
	t.shows(lv.View{Env: "untouched"}, "a=1", "b=1")
	t.shows(lv.View{Env: "untouched", Own: true}, []string(nil)...)
	t.shows(lv.View{Env: green, Own: true}, "a=1")

	// A gray keeps its pointer, even when production has been where it is.
	t.save("a", "2")
	t.save("b", "2")
	t.publish(lv.Production, "a", "b")
	t.shows(lv.View{Env: "untouched"}, "a=2", "b=2")
	t.shows(lv.View{Env: green}, "a=1", "b=2")
}

func graysAlone(t *storeTest) {
	t.save("a", "1")
	t.publish(lv.Production, "a")
	v2 := t.save("a", "2")
	t.publish(blue, "a")
	t.save("a", "3")
	t.save("b", "3")
	t.publish(green, "b", "a")
	t.shows(lv.View{}, "a=1")
	t.shows(lv.View{Env: blue}, "a=2")
	t.shows(lv.View{Env: green}, "a=3", "b=3")
	require.Equal(t, []lv.Env{blue, green}, t.info().Envs, "environments come by name")

	t.release(green, to(v2)) // a rollback in green
	t.shows(lv.View{Env: green}, "a=2", "b=3")
	t.shows(lv.View{Working: true}, "a=3", "b=3")
	t.shows(lv.View{}, "a=1")
}

func grayDeletion(t *storeTest) {
	t.save("a", "1")
	t.save("b", "1")
	t.publish(lv.Production, "a", "b")
	d := t.remove("a")
	t.publish(green, "a") // publishes the deletion
	t.shows(lv.View{Env: green}, "b=1")
	t.shows(lv.View{Env: green, Own: true}, "a")
	t.shows(lv.View{Env: blue}, "a=1", "b=1")
	t.shows(lv.View{}, "a=1", "b=1")
	require.Len(t, t.rows(lv.View{Working: true, Deleted: true}), 1, "a deletion in a gray is not published yet")
	require.Equal(t, d.ID, t.row(lv.View{Env: green, Own: true}).Version)

	t.release(green, lv.Change{Row: "a"})
	t.shows(lv.View{Env: green}, "a=1", "b=1")
}

func deletionPublished(t *storeTest) {
	v1 := t.save("a", "1")
	t.publish(lv.Production, "a")
	d := t.remove("a")
	r := t.publish(lv.Production, "a")
	require.Equal(t, []lv.Change{{Row: "a", From: v1.ID, To: d.ID}}, plain(r).Changes)
	for _, env := range []lv.Env{lv.Production, green} {
		t.shows(lv.View{Env: env}, []string(nil)...)
	}
	t.shows(lv.View{Own: true}, "a")
	t.shows(lv.View{Working: true, Deleted: true}, []string(nil)...)
	t.unchanged(func() {
		require.Equal(t, r.ID, t.release(lv.Production, to(d)).ID, "a deletion is published once")
	})
	require.Equal(t, []lv.Env{lv.Production}, t.newest("a").Live, "production points at the deletion")

	t.save("a", "1")
	t.shows(lv.View{Working: true, Status: lv.StatusChanged}, "a=1")
	t.publish(lv.Production, "a")
	t.shows(lv.View{}, "a=1")
}

func resets(t *storeTest) {
	t.write(saving("a", "1"), saving("b", "1"), saving("c", "1"))
	t.publish(lv.Production, "a", "b", "c")
	b2 := t.write(saving("a", "2"), saving("b", "2"), deleting("c"))[1]
	t.publish(green, "a", "b", "c")
	r := t.release(green, lv.Change{Row: "a"}, lv.Change{Row: "c"})
	require.Zero(t, nth(t, 0, r.Changes).To)
	require.NotZero(t, nth(t, 0, r.Changes).From)
	t.shows(lv.View{Env: green}, "a=1", "b=2", "c=1")
	t.shows(lv.View{Env: green, Own: true}, "b=2")
	require.Equal(t, []lv.Env{green}, t.info().Envs, "a gray that follows production is still there")
	require.Equal(t, []lv.Env{green}, t.version(b2).Live)
	t.publish(lv.Production, "a", "c")
	t.shows(lv.View{Env: green}, "a=2", "b=2")
}

// version returns a version as it is now.
func (t *storeTest) version(v lv.Version) lv.Version {
	t.Helper()
	for _, found := range t.history(lv.Query{Row: v.Row}) {
		if found.ID == v.ID {
			return found
		}
	}
	require.Fail(t, "no such version", v.ID)
	return lv.Version{}
}

func releasesAllOrNone(t *storeTest) {
	a, b := t.save("a", "1"), t.save("b", "1")
	elsewhere := t.writeElsewhere("c")
	t.publish(lv.Production, "a")
	a2 := t.save("a", "2")
	for _, env := range []lv.Env{lv.Production, green} {
		for why, bad := range map[string]lv.Change{
			"an unknown version":            {Row: "c", To: 1 << 40},
			"the greatest version":          {Row: "c", To: math.MaxInt64},
			"a negative version":            {Row: "c", To: -1},
			"a version of another row":      {Row: "c", To: b.ID},
			"a version of another table":    {Row: "c", To: elsewhere.ID},
			"a working row that never was":  {Row: "c", Working: true},
			"no version of an unknown row":  {Row: "c"},
			"a version for an unknown row":  {Row: "c", To: a.ID},
			"the other row's newer version": {Row: "b", To: a2.ID},
		} {
			r := applied(env, to(a2), bad)
			t.refusedRelease(lv.ErrNotFound, why, r)
			if !bad.Working {
				r.State = lv.ReleaseDraft
				t.refusedRelease(lv.ErrNotFound, why+" in a plan", r)
			}
		}
		for why, changes := range map[string][]lv.Change{
			"a row twice":        {to(a2), to(b), to(a2)},
			"a row in two ways":  {to(a), to(b), {Row: "a", Working: true}},
			"no changes":         {},
			"a change of no row": {to(a2), {To: b.ID}},
		} {
			t.refusedRelease(lv.ErrInvalid, why, applied(env, changes...))
			t.refusedRelease(lv.ErrInvalid, why+" in a plan", lv.Release{Env: env, State: lv.ReleaseDraft, Changes: changes})
		}
	}
}

func expectations(t *storeTest) {
	a1, b1, c1 := t.save("a", "1"), t.save("b", "1"), t.save("c", "1")
	t.release(lv.Production, expecting(to(a1), 0), to(b1))
	t.release(green, expecting(to(a1), 0))
	a2, b2 := t.save("a", "2"), t.save("b", "2")

	conflict := func(env lv.Env, want []lv.Change, changes ...lv.Change) {
		t.Helper()
		t.refused(lv.ErrConflict, "an expectation that does not hold", func() error {
			_, err := t.PutRelease(t.Context(), pages, applied(env, changes...), ann)
			var conflict *lv.ConflictError
			require.True(t, errors.As(err, &conflict), "%v", err)
			require.Equal(t, want, plainChanges(conflict.Changes), "the conflict lists what is there, and nothing else")
			return err
		})
	}
	conflict(lv.Production, []lv.Change{{Row: "a", From: a1.ID, To: a2.ID}, {Row: "c", To: c1.ID}},
		expecting(to(a2), 0), expecting(to(b2), b1.ID), expecting(to(c1), c1.ID))
	conflict(lv.Production, []lv.Change{{Row: "a", From: a1.ID, To: a1.ID}}, expecting(to(a1), a2.ID))
	conflict(green, []lv.Change{{Row: "b", To: b2.ID}}, expecting(to(a2), a1.ID), expecting(to(b2), b1.ID))
	conflict(green, []lv.Change{{Row: "a", From: a1.ID}}, expecting(lv.Change{Row: "a"}, a2.ID))

	t.release(lv.Production, expecting(to(a2), a1.ID), expecting(to(b2), b1.ID), expecting(to(c1), 0))
	t.release(green, expecting(lv.Change{Row: "a"}, a1.ID))
	t.shows(lv.View{Env: green}, "a=2", "b=2", "c=1")
}

// taking returns the release that takes back what an applied one moved.
func taking(r lv.Release) lv.Release {
	back := lv.Release{Env: r.Env, State: lv.ReleaseApplied, Reverts: r.ID}
	for _, c := range r.Changes {
		if c.From != c.To {
			back.Changes = append(back.Changes, expecting(lv.Change{Row: c.Row, To: c.From}, c.To))
		}
	}
	return back
}

func takenBack(t *storeTest) {
	for _, env := range []lv.Env{lv.Production, green} {
		row := func(name string) string { return fmt.Sprint(env, name) }
		t.write(saving(row("kept"), "1"), saving(row("deleted"), "1"), saving(row("back"), "1"))
		t.publish(env, row("kept"), row("deleted"), row("back"))
		t.remove(row("back"))
		t.publish(env, row("back"))
		before := t.rows(lv.View{Env: env, Own: true})

		t.write(saving(row("kept"), "2"), deleting(row("deleted")), saving(row("back"), "2"), saving(row("new"), "2"))
		r := t.publish(env, row("kept"), row("deleted"), row("back"), row("new"))
		require.NotEqual(t, before, t.rows(lv.View{Env: env, Own: true}))
		back := t.put(taking(r))
		require.Equal(t, r.ID, back.Reverts)
		require.Equal(t, before, t.rows(lv.View{Env: env, Own: true}), "versions, deletions and absences are back")

		again := t.put(taking(back))
		t.save(row("kept"), "3")
		t.publish(env, row("kept"))
		t.refused(lv.ErrConflict, "a pointer has moved since", func() error {
			_, err := t.PutRelease(t.Context(), pages, taking(again), ann)
			var conflict *lv.ConflictError
			require.True(t, errors.As(err, &conflict), "%v", err)
			require.Len(t, conflict.Changes, 1, "the conflict lists what has moved")
			require.Equal(t, row("kept"), conflict.Changes[0].Row)
			return err
		})
	}
}

func repeatedRelease(t *storeTest) {
	by := lv.By{Actor: "ann", RequestID: "1"}
	t.refused(lv.ErrNotFound, "a bad release", func() error {
		_, err := t.PutRelease(t.Context(), pages, applied("", working("a")...), by)
		return err
	})
	v1 := t.save("a", "1")
	first, err := t.PutRelease(t.Context(), pages, applied("", working("a")...), by)
	require.NoError(t, err, "what was refused can be asked again")
	t.save("a", "2")
	t.publish(lv.Production, "a")
	t.unchanged(func() {
		again, err := t.PutRelease(t.Context(), pages, applied("", working("a")...), by)
		require.NoError(t, err)
		require.Equal(t, plain(first), plain(again), "a repeated request returns the first answer")
	})
	by.RequestID = "2"
	second, err := t.PutRelease(t.Context(), pages, applied("", to(v1)), by)
	require.NoError(t, err)
	require.Greater(t, second.ID, first.ID, "another request is another release")

	by.RequestID = "3"
	draft := lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{to(v1)}}
	planned, err := t.PutRelease(t.Context(), pages, draft, by)
	require.NoError(t, err)
	t.unchanged(func() {
		again, err := t.PutRelease(t.Context(), pages, draft, by)
		require.NoError(t, err)
		require.Equal(t, planned, again, "a repeated plan returns the first answer")
	})
}

func releaseTimes(t *storeTest) {
	v := t.save("a", "1")
	draft := t.put(lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{to(v)}})
	time.Sleep(10 * time.Millisecond)
	draft.State = lv.ReleaseApplied
	r := t.put(draft)
	require.Equal(t, draft.CreatedAt, r.CreatedAt, "a release keeps the time of its creation")
	require.True(t, r.AppliedAt.After(r.CreatedAt), "a release has the time when it was applied")
	requireStamp(t, r.AppliedAt)
}
