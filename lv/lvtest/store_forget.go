package lvtest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// forget forgets versions that nothing refers to.
func (t *storeTest) forget(versions ...lv.Version) {
	t.Helper()
	var edits []lv.Edit
	for _, v := range versions {
		edits = append(edits, forgetting(v))
	}
	for i, v := range t.write(edits...) {
		require.Equal(t, versions[i].ID, v.ID, "Write returns the version that is forgotten")
	}
}

// versions saves a row n times.
func (t *storeTest) versions(row string, n int) (all []lv.Version) {
	t.Helper()
	for i := range n {
		all = append(all, t.save(row, fmt.Sprint(i)))
	}
	return all
}

func forgetsReferred(t *storeTest) {
	referred := map[string]lv.Version{}
	free := []lv.Version{}

	v := t.versions("working", 2)
	referred["a working row"], free = v[1], append(free, v[0])
	t.save("deleted", "1")
	referred["a deleted working row"] = t.remove("deleted")

	v = t.versions("production", 2)
	t.release(lv.Production, to(v[0]))
	referred["production"] = v[0]
	v = t.versions("gray", 2)
	t.release(green, to(v[0]))
	referred["a gray"] = v[0]

	v = t.versions("shown", 3)
	s := strategy(v[0])
	s.Disabled = true
	t.putStrategy(s)
	referred["a strategy"] = v[0]
	s = t.putStrategy(strategy(v[1]))
	s.Deleted = true
	t.putStrategy(s)
	free = append(free, v[1])

	v = t.versions("planned", 6)
	for i, state := range []lv.ReleaseState{
		lv.ReleaseDraft, lv.ReleaseApproved, lv.ReleaseScheduled, lv.ReleaseCancelled, lv.ReleaseFailed,
	} {
		plan := t.put(draft(to(v[i])))
		plan.State = state
		t.put(plan)
	}
	referred["a draft"], referred["an approved plan"], referred["a scheduled plan"] = v[0], v[1], v[2]
	free = append(free, v[3], v[4])

	v, w := t.versions("moved", 4), t.versions("moved too", 2)
	t.release(blue, to(v[0]), to(w[0]))
	t.release(blue, to(v[1]), to(w[1])) // moved once more below: it cannot be taken back
	t.release(blue, to(v[2]))
	referred["what can come back"] = v[1]
	free = append(free, v[0], w[0])
	v = t.versions("reset", 2)
	t.release(blue, to(v[0]))
	t.release(blue, lv.Change{Row: "reset"})
	referred["what a reset can bring back"] = v[0]

	for why, v := range referred {
		t.refusedEdits(lv.ErrStale, why, forgetting(v))
		t.refusedEdits(lv.ErrStale, why, append([]lv.Edit{saving("more", "1")}, forgetting(free[0]), forgetting(v))...)
	}
	for _, v := range free {
		t.forget(v)
	}
}

func forgetsRevertible(t *storeTest) {
	for _, env := range []lv.Env{lv.Production, green} {
		row := func(name string) string { return fmt.Sprint(env, name) }
		v, w := t.versions(row("moved"), 3), t.versions(row("stays"), 3)
		t.release(env, to(v[0]), to(w[0]))
		t.release(env, to(v[1]), to(w[0])) // moves one of the two
		t.refusedEdits(lv.ErrStale, "the release can be taken back", forgetting(v[0]))
		t.release(env, to(w[1]))
		t.refusedEdits(lv.ErrStale, "what it did not move does not matter", forgetting(v[0]))
		t.release(env, to(w[2]))
		t.forget(w[0])
		t.refusedEdits(lv.ErrStale, "nor does it when it is forgotten", forgetting(v[0]))
		t.release(env, to(v[2]))
		t.forget(v[0])
	}
}

func forgotten(t *storeTest) {
	v1, b := t.save("a", "1"), t.save("b", "1")
	t.publish(lv.Production, "a")
	seq1 := t.info().Seq
	v2 := t.save("a", "2")
	t.publish(lv.Production, "a", "b")
	seq2 := t.info().Seq
	t.save("a", "3")
	t.publish(lv.Production, "a")
	t.publish(green, "a")
	before, events := readAll(t, t.VersionStore, pages), t.log()
	then := t.rows(lv.View{AsOf: seq2})

	t.forget(v1)
	after := readAll(t, t.VersionStore, pages)
	require.Len(t, after.Versions, len(before.Versions)-1, "the version is gone")
	require.Equal(t, before.Versions[:3], after.Versions[:3], "the other versions are kept")
	after.Versions = before.Versions
	require.Equal(t, before, after, "forgetting changes no other read")
	require.Len(t, t.log(), len(events), "forgetting leaves no event")
	require.Equal(t, then, t.rows(lv.View{AsOf: seq2}), "what needs no forgotten version is still what it was")
	requireCompacted(t, t.Rows(t.Context(), pages, lv.View{AsOf: seq1}))
	t.shows(lv.View{AsOf: seq1, Rows: []string{"b"}, Working: true}, "b=1")

	for why, edit := range map[string]lv.Edit{"forget it": forgetting(v1), "roll back to it": rolling(v1)} {
		t.refusedEdits(lv.ErrNotFound, why, edit)
	}
	t.refusedRelease(lv.ErrNotFound, "release it", applied(green, to(v1)))
	t.refusedStrategy(lv.ErrNotFound, "show it", strategy(v1))
	require.Equal(t, []lv.VersionID{v2.ID}, ids(t.history(lv.Query{Row: "a", After: int64(v2.ID) + 1})))
	require.Empty(t, t.history(lv.Query{Row: "a", After: int64(v1.ID) + 1}), "a forgotten version still has its place")
	require.Equal(t, []lv.VersionID{b.ID}, ids(t.history(lv.Query{Row: "b"})))
	again := t.save("a", "1")
	require.Greater(t, again.ID, v2.ID, "a content that was forgotten can be saved again")
	require.Equal(t, page("1"), t.version(again).Content)
}

// requireCompacted checks that a list ends with ErrCompacted.
func requireCompacted(t *storeTest, all func(func(lv.Row, error) bool)) {
	t.Helper()
	var last error
	for _, err := range all {
		require.NoError(t, last, "an error is the last pair")
		last = err
	}
	require.ErrorIs(t, last, lv.ErrCompacted, "what needs a forgotten version is told so")
}

func forgetsSharedContent(t *storeTest) {
	v1 := t.save("a", "same")
	t.save("a", "other")
	kept := t.save("a", "same")
	b := t.save("b", "same")
	t.save("b", "other")
	t.forget(v1)
	require.Equal(t, page("same"), t.version(kept).Content, "another version with this content keeps it")
	require.Equal(t, page("same"), t.version(b).Content, "another row with this content keeps it")
	t.shows(lv.View{Working: true}, "a=same", "b=other")
	t.forget(b)
	t.shows(lv.View{Working: true}, "a=same", "b=other")
	copied := t.rollback(kept)
	require.Equal(t, kept.ID, copied.ID)
}

func forgetsSource(t *storeTest) {
	v1 := t.save("a", "1")
	time.Sleep(2 * time.Millisecond)
	t.save("a", "2")
	v3 := t.rollback(v1)
	t.forget(v1)
	require.Equal(t, v1.ID, t.version(v3).Source, "a rollback still says where it came from")
	require.Equal(t, page("1"), t.version(v3).Content, "a rollback has its own content")
	t.shows(lv.View{Working: true}, "a=1")
	require.Equal(t, v1.Time, t.row(lv.View{Working: true}).CreatedAt, "a row keeps the time of its creation")
}
