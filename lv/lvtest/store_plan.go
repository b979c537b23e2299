package lvtest

import (
	"math"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// draft returns a release that can be planned.
func draft(changes ...lv.Change) lv.Release {
	return lv.Release{State: lv.ReleaseDraft, Changes: changes}
}

func planReturns(t *storeTest) {
	a, b := t.save("a", "1"), t.save("b", "1")
	t.save("c", "1")
	at := time.Date(2031, 2, 28, 23, 59, 59, 123_000_000, time.UTC)
	want := lv.Release{
		Env: green, State: lv.ReleaseScheduled, Approver: "bob", At: at, Reverts: 3,
		Changes: []lv.Change{expecting(to(b), 0), to(a), expecting(lv.Change{Row: "c"}, a.ID)},
		// what follows is the store's
		By: lv.By{Actor: "somebody else"}, Last: lv.By{Reason: "none"}, CreatedAt: at, AppliedAt: at, Seq: 99, Rev: 99,
	}
	why := lv.By{Actor: "ann", Reason: "spring", RequestID: "plan"}
	got, err := t.PutRelease(t.Context(), pages, want, why)
	require.NoError(t, err)
	requireStamp(t, got.CreatedAt)
	require.NotEqual(t, at, got.CreatedAt)
	want.ID, want.By, want.Last, want.CreatedAt, want.AppliedAt, want.Seq, want.Rev = got.ID, why, why, got.CreatedAt, time.Time{}, 0, 1
	require.Positive(t, want.ID)
	require.Equal(t, want, got, "a plan comes back as it was written")
	require.Equal(t, []lv.Release{want}, t.releases(lv.Query{}), "the list has the plan")
	require.Empty(t, t.info().Envs, "a plan makes no gray")
	t.shows(lv.View{Env: green}, []string(nil)...)
}

func planReplaced(t *storeTest) {
	a, b := t.save("a", "1"), t.save("b", "1")
	first := t.put(draft(to(a)))
	next := first
	next.Env, next.State, next.Approver, next.Changes = green, lv.ReleaseApproved, "bob", []lv.Change{to(b)}
	next.By, next.Last, next.CreatedAt = lv.By{Actor: "bob", Reason: "more"}, lv.By{}, year2020
	why := lv.By{Actor: "bob", Reason: "it is right", RequestID: "approval"}
	got, err := t.PutRelease(t.Context(), pages, next, why)
	require.NoError(t, err)
	next.By, next.Last, next.CreatedAt, next.Rev = first.By, why, first.CreatedAt, 2
	require.Equal(t, next, got, "a write replaces the plan, but for its author and its creation")
	require.Equal(t, []lv.Release{next}, t.releases(lv.Query{}))

	for _, rev := range []int64{first.Rev, 0, -1, got.Rev + 1} {
		stale := got
		stale.Rev, stale.Approver = rev, "stale"
		t.refusedRelease(lv.ErrStale, "another rev", stale)
		stale.State = lv.ReleaseApplied
		t.refusedRelease(lv.ErrStale, "another rev", stale)
	}
	for _, id := range []int64{got.ID + 1000, -1, math.MaxInt64} {
		unknown := got
		unknown.ID = id
		t.refusedRelease(lv.ErrNotFound, "an unknown release", unknown)
	}
	t.writeElsewhere("elsewhere")
	t.refused(lv.ErrNotFound, "a release of another table", func() error {
		_, err := t.PutRelease(t.Context(), banners, got, ann)
		return err
	})
}

// year2020 is a time that is not the engine's.
var year2020 = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func planPinned(t *storeTest) {
	a1, b1 := t.save("a", "1"), t.save("b", "1")
	t.publish(lv.Production, "a")
	a2 := t.save("a", "2")
	plan := t.put(draft(expecting(to(a2), a1.ID), to(b1)))
	t.shows(lv.View{}, "a=1")
	t.save("a", "3")
	t.remove("b")
	plan.State = lv.ReleaseApproved
	plan = t.put(plan)
	t.shows(lv.View{}, "a=1")

	plan.State = lv.ReleaseApplied
	r := t.put(plan)
	t.shows(lv.View{}, "a=2", "b=1")
	t.shows(lv.View{Working: true}, "a=3")
	require.Equal(t, plan.ID, r.ID)
	require.Equal(t, plan.Rev+1, r.Rev)
	require.Equal(t, t.info().Seq, r.Seq)
	require.Equal(t, []lv.Change{{Row: "a", From: a1.ID, To: a2.ID}, {Row: "b", To: b1.ID}}, plain(r).Changes)
	require.Equal(t, plain(r), plain(nth(t, 0, t.releases(lv.Query{}))))
}

func planConflicts(t *storeTest) {
	a1 := t.save("a", "1")
	a2, b := t.save("a", "2"), t.save("b", "1")
	plan := t.put(draft(to(b), expecting(to(a2), 0)))
	t.release(lv.Production, to(a1))
	plan.State = lv.ReleaseApplied
	t.refusedRelease(lv.ErrConflict, "a pointer has moved since", plan)
	plan.State = lv.ReleaseFailed
	t.put(plan)
	t.shows(lv.View{}, "a=1")
}

func planMovesNothing(t *storeTest) {
	a := t.save("a", "1")
	plan := t.put(draft(to(a)))
	first := t.publish(lv.Production, "a")
	events := len(t.log())
	plan.State = lv.ReleaseApplied
	r := t.put(plan)
	require.Equal(t, plan.ID, r.ID, "a planned release that moves nothing is applied all the same")
	require.Equal(t, lv.ReleaseApplied, nth(t, 1, t.releases(lv.Query{})).State)
	log := t.log()
	require.Len(t, log, events+1)
	require.Equal(t, lv.EventReleased, log[events].Kind)
	require.Empty(t, log[events].Rows, "an event says what has moved")
	t.unchanged(func() {
		require.Equal(t, first.ID, t.publish(lv.Production, "a").ID, "the pointer was moved by another release")
	})
}

func planFinal(t *storeTest) {
	a := t.save("a", "1")
	for _, final := range []lv.ReleaseState{lv.ReleaseApplied, lv.ReleaseFailed, lv.ReleaseCancelled} {
		plan := t.put(draft(to(a)))
		plan.State = final
		plan = t.put(plan)
		for _, next := range []lv.ReleaseState{lv.ReleaseDraft, lv.ReleaseApproved, lv.ReleaseCancelled, lv.ReleaseApplied} {
			again := plan
			again.State, again.Approver = next, "again"
			t.refusedRelease(lv.ErrTooLate, "it is over", again)
		}
	}
	r := t.release(green, to(a))
	r.State = lv.ReleaseCancelled
	t.refusedRelease(lv.ErrTooLate, "it is over", r)
}
