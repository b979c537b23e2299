package lv_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// pause lets the engine's clock go on, in a bubble.
func pause() { time.Sleep(time.Second) }

func (s site) plan(r lv.Release) lv.Release {
	s.t.Helper()
	plan, err := s.Draft(context.Background(), r, ada)
	require.NoError(s.t, err)
	return plan
}

func (s site) approve(id int64) lv.Release {
	s.t.Helper()
	r, err := s.Approve(context.Background(), id, bob)
	require.NoError(s.t, err)
	return r
}

func (s site) stored(id int64) lv.Release {
	s.t.Helper()
	for r, err := range s.Releases(context.Background(), lv.Query{}) {
		require.NoError(s.t, err)
		if r.ID == id {
			return r
		}
	}
	require.Fail(s.t, "no release", "%d", id)
	return lv.Release{}
}

func TestRevertPutsBackAWholeRelease(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.save("gone", "1")
	s.publish(lv.Production, "a", "gone")
	s.save("a", "2")
	s.save("new", "2")
	s.del("gone")
	r := s.publish(lv.Production, "a", "new", "gone")
	require.Equal(t, "a=2 new=2", s.shows(lv.View{}))

	back, err := s.Revert(t.Context(), r.ID, bob)
	require.NoError(t, err)
	require.Equal(t, r.ID, back.Reverts)
	require.Equal(t, "a=1 gone=1", s.shows(lv.View{}))
	require.Equal(t, "a=2 new=2", s.shows(lv.View{Working: true}), "editors keep their rows")
	_, err = s.Revert(t.Context(), back.ID, bob)
	require.NoError(t, err)
	require.Equal(t, "a=2 new=2", s.shows(lv.View{}))
}

func TestRevertListsWhatHasMovedSince(t *testing.T) {
	s := newSite(t)
	for _, row := range []string{"a", "b", "c"} {
		s.save(row, "1")
	}
	r := s.publish(lv.Production, "a", "b", "c")
	b2, c2 := s.save("b", "2"), s.save("c", "2")
	s.publish(lv.Production, "b")
	s.publish(lv.Production, "c")
	_, err := s.Revert(t.Context(), r.ID, bob)
	var moved *lv.ConflictError
	require.ErrorAs(t, err, &moved)
	at := map[string]lv.VersionID{}
	for _, c := range moved.Changes {
		at[c.Row] = c.From
	}
	require.Equal(t, map[string]lv.VersionID{"b": b2, "c": c2}, at)
	require.Equal(t, "a=1 b=2 c=2", s.shows(lv.View{}))

	_, err = s.Revert(t.Context(), 999, bob)
	require.ErrorIs(t, err, lv.ErrNotFound)
	_, err = s.Revert(t.Context(), s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}}).ID, bob)
	require.ErrorIs(t, err, lv.ErrStale)
}

func TestRevertLeavesAloneWhatItsReleaseDidNotMove(t *testing.T) {
	s := newSite(t)
	a1 := s.save("a", "1")
	s.save("b", "1")
	s.publish(lv.Production, "a", "b")
	s.save("a", "2")
	r := s.publish(lv.Production, "a", "b")
	s.save("b", "2")
	s.publish(lv.Production, "b")

	back, err := s.Revert(t.Context(), r.ID, bob)
	require.NoError(t, err)
	require.Equal(t, "a=1 b=2", s.shows(lv.View{}))
	require.Len(t, back.Changes, 1)
	require.Equal(t, a1, back.Changes[0].To)

	plan := s.approve(s.plan(lv.Release{Changes: []lv.Change{{Row: "a", To: a1}}}).ID)
	_, err = s.Apply(t.Context(), plan.ID, ada)
	require.NoError(t, err)
	_, err = s.Revert(t.Context(), plan.ID, bob)
	require.ErrorIs(t, err, lv.ErrInvalid, "it moved nothing")
}

func TestAPlanPinsItsVersions(t *testing.T) {
	s := newSite(t)
	a1, b1 := s.save("a", "1"), s.save("b", "1")
	s.publish(lv.Production, "b")
	s.save("b", "2")
	gone := s.del("b")
	wrong := lv.VersionID(7)
	plan := s.plan(lv.Release{Env: lv.Production, State: lv.ReleaseApplied, By: bob, Last: bob, Changes: []lv.Change{
		{Row: "a", Working: true}, {To: gone},
	}})
	none := lv.VersionID(0)
	require.Equal(t, []lv.Change{{Row: "a", To: a1, Expect: &none}, {Row: "b", To: gone, Expect: &b1}}, plan.Changes)
	require.Equal(t, lv.ReleaseDraft, plan.State)
	require.Equal(t, []lv.By{ada, ada}, []lv.By{plan.By, plan.Last})
	kept := s.plan(lv.Release{Env: "g", Changes: []lv.Change{{Row: "a", To: a1, Expect: &wrong}, {Row: "b"}}})
	require.Equal(t, []lv.Change{{Row: "a", To: a1, Expect: &wrong}, {Row: "b", Expect: &none}}, kept.Changes)

	s.save("a", "2") // a later edit
	s.approve(plan.ID)
	applied, err := s.Apply(t.Context(), plan.ID, lv.By{Actor: "cyd", Reason: "now"})
	require.NoError(t, err)
	require.Equal(t, lv.ReleaseApplied, applied.State)
	require.Equal(t, []lv.By{ada, {Actor: "cyd", Reason: "now"}}, []lv.By{applied.By, applied.Last})
	require.Equal(t, "bob", applied.Approver)
	require.Equal(t, "a=1", s.shows(lv.View{}))

	for _, c := range []lv.Change{{Row: "none", Working: true}, {To: 999}, {Row: "b", To: a1}, {Row: "none"}} {
		_, err := s.Draft(t.Context(), lv.Release{Changes: []lv.Change{{Row: "a", Working: true}, c}}, ada)
		require.ErrorIs(t, err, lv.ErrNotFound, "%+v", c)
	}
}

func TestAPlanIsAppliedWholeOrNotAtAll(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.save("b", "1")
	plan := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}, {Row: "b", Working: true}}})
	s.approve(plan.ID)
	s.publish(lv.Production, "b") // what it would do, but not what it expects
	_, err := s.Apply(t.Context(), plan.ID, ada)
	var moved *lv.ConflictError
	require.ErrorAs(t, err, &moved)
	require.Len(t, moved.Changes, 1)
	require.Equal(t, "b=1", s.shows(lv.View{}))
	require.Equal(t, lv.ReleaseApproved, s.stored(plan.ID).State)
}

func TestWhoMayApprove(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	changes := []lv.Change{{Row: "a", Working: true}}
	plan := s.plan(lv.Release{Changes: changes})
	_, err := s.Approve(t.Context(), plan.ID, ada)
	require.ErrorIs(t, err, lv.ErrForbidden, "its author")
	require.Equal(t, lv.ReleaseDraft, s.stored(plan.ID).State)
	require.Equal(t, lv.ReleaseApproved, s.approve(plan.ID).State)
	require.Equal(t, "bob", s.approve(plan.ID).Approver, "again")

	refused := errors.New("ask legal")
	strict := serve(t, lv.Config{VersionStore: s.store, Approve: func(_ context.Context, r lv.Release, by lv.By) error {
		if r.By.Reason == "prices" {
			return refused
		}
		return nil
	}})
	prices, err := strict.Draft(t.Context(), lv.Release{Changes: changes}, lv.By{Actor: "ada", Reason: "prices"})
	require.NoError(t, err)
	_, err = strict.Approve(t.Context(), prices.ID, bob)
	require.ErrorIs(t, err, refused)
	_, err = strict.Approve(t.Context(), strict.plan(lv.Release{Changes: changes}).ID, ada)
	require.NoError(t, err, "this house lets authors approve")
}

func TestWhatCanBeDoneToAPlanInEachState(t *testing.T) {
	s := newSite(t)
	verbs := map[string]func(id int64) error{
		"approve":  func(id int64) error { _, err := s.Approve(t.Context(), id, bob); return err },
		"schedule": func(id int64) error { _, err := s.Schedule(t.Context(), id, time.Unix(4e9, 0), bob); return err },
		"apply":    func(id int64) error { _, err := s.Apply(t.Context(), id, bob); return err },
		"cancel":   func(id int64) error { return s.Cancel(t.Context(), id, bob) },
	}
	row := 0
	for _, tt := range []struct {
		after []string
		state lv.ReleaseState
		want  map[string]error
	}{
		{nil, lv.ReleaseDraft, map[string]error{"schedule": lv.ErrStale, "apply": lv.ErrStale}},
		{[]string{"approve"}, lv.ReleaseApproved, nil},
		{[]string{"approve", "schedule"}, lv.ReleaseScheduled, nil},
		{[]string{"approve", "schedule", "apply"}, lv.ReleaseApplied, map[string]error{"schedule": lv.ErrTooLate, "cancel": lv.ErrTooLate}},
		{[]string{"cancel"}, lv.ReleaseCancelled, map[string]error{"approve": lv.ErrTooLate, "schedule": lv.ErrTooLate, "apply": lv.ErrTooLate}},
	} {
		for verb, do := range verbs {
			row++
			id := string(rune('A' + row))
			s.save(id, "1")
			plan := s.plan(lv.Release{Changes: []lv.Change{{Row: id, Working: true}}})
			for _, before := range tt.after {
				require.NoError(t, verbs[before](plan.ID))
			}
			require.Equal(t, tt.state, s.stored(plan.ID).State)
			if want := tt.want[verb]; want != nil {
				require.ErrorIs(t, do(plan.ID), want, "%s after %v", verb, tt.after)
				require.Equal(t, tt.state, s.stored(plan.ID).State)
			} else {
				require.NoError(t, do(plan.ID), "%s after %v", verb, tt.after)
			}
			require.ErrorIs(t, do(999), lv.ErrNotFound)
		}
	}
}

// run runs the service until the test ends.
func (s site) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.service.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		require.ErrorIs(s.t, <-ended, context.Canceled)
	})
}

func TestAScheduledReleaseIsAppliedWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.save("a", "1")
		s.save("b", "1")
		early := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
		s.approve(early.ID)
		_, err := s.Schedule(t.Context(), early.ID, time.Now().Add(time.Hour), bob)
		require.NoError(t, err)
		s.run() // after a restart, say
		synctest.Wait()
		late := s.plan(lv.Release{Changes: []lv.Change{{Row: "b", Working: true}}})
		s.approve(late.ID)
		_, err = s.Schedule(t.Context(), late.ID, time.Now().Add(5*time.Hour), bob)
		require.NoError(t, err)
		_, err = s.Schedule(t.Context(), late.ID, time.Now().Add(2*time.Hour), bob)
		require.NoError(t, err)
		s.save("c", "1")
		soon := s.plan(lv.Release{Env: "g", Changes: []lv.Change{{Row: "c", Working: true}}})
		s.approve(soon.ID)
		_, err = s.Schedule(t.Context(), soon.ID, time.Now().Add(10*time.Second), bob)
		require.NoError(t, err)
		time.Sleep(9 * time.Second)
		require.Empty(t, s.shows(lv.View{Env: "g"}))
		time.Sleep(2 * time.Second)
		require.Equal(t, "c=1", s.shows(lv.View{Env: "g"}))

		time.Sleep(time.Hour - 12*time.Second)
		require.Empty(t, s.shows(lv.View{}))
		time.Sleep(2 * time.Second)
		require.Equal(t, "a=1", s.shows(lv.View{}))
		require.Equal(t, lv.ReleaseApplied, s.stored(early.ID).State)
		time.Sleep(time.Hour)
		require.Equal(t, "a=1 b=1", s.shows(lv.View{}))
	})
}

func TestAReleaseIsNotScheduledForATimeThatNoTextCanSay(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	plan := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
	s.approve(plan.ID)
	west := time.FixedZone("west of UTC", -23*60*60)
	last := time.Date(9999, time.December, 31, 0, 59, 59, 0, west)
	for _, at := range []time.Time{last.Add(time.Second), time.Date(-1, time.December, 31, 0, 0, 0, 0, time.UTC)} {
		_, err := s.Schedule(t.Context(), plan.ID, at, bob)
		require.ErrorIs(t, err, lv.ErrInvalid)
		require.Equal(t, lv.ReleaseApproved, s.stored(plan.ID).State)
	}
	_, err := s.Schedule(t.Context(), plan.ID, last, bob)
	require.NoError(t, err)
	require.Equal(t, last.UTC(), s.stored(plan.ID).At)
}

func TestAScheduledReleaseThatMeetsAConflictFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.save("a", "1")
		s.save("b", "1")
		plan := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}, {Row: "b", Working: true}}})
		s.approve(plan.ID)
		_, err := s.Schedule(t.Context(), plan.ID, time.Now().Add(time.Minute), bob)
		require.NoError(t, err)
		s.publish(lv.Production, "b")
		s.run()
		time.Sleep(2 * time.Minute)
		require.Equal(t, lv.ReleaseFailed, s.stored(plan.ID).State)
		require.Equal(t, "b=1", s.shows(lv.View{}))
		require.ErrorIs(t, s.Cancel(t.Context(), plan.ID, bob), lv.ErrTooLate)
	})
}

// older has releases for a gray that no program can name any more.
type older struct{ lv.VersionStore }

func (o older) Releases(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	return func(yield func(lv.Release, error) bool) {
		for r, err := range o.VersionStore.Releases(ctx, t, q) {
			if r.Env == "odd" {
				r.Env = "\xff"
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestAPlanThatCannotBeAppliedHoldsNoOtherBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, lv.Config{VersionStore: older{memory.New().Versions()}})
		s.save("a", "1")
		s.save("b", "1")
		for _, desc := range []string{"\x00", "\xff"} {
			_, err := s.Draft(t.Context(), lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}}, lv.By{Actor: "ada", Reason: desc})
			require.ErrorIs(t, err, lv.ErrInvalid, "%q", desc)
		}
		// What another program has put into the store: the older and the newer.
		odd := lv.Release{State: lv.ReleaseScheduled, Env: "odd", Changes: []lv.Change{{Row: "a"}}}
		_, err := s.store.PutRelease(t.Context(), s.ID, odd, ada)
		require.NoError(t, err)
		plan := s.plan(lv.Release{Env: "g", Changes: []lv.Change{{Row: "b", Working: true}}})
		s.approve(plan.ID)
		_, err = s.Schedule(t.Context(), plan.ID, time.Now(), bob)
		require.NoError(t, err)
		_, err = s.store.PutRelease(t.Context(), s.ID, odd, ada)
		require.NoError(t, err)
		s.run()
		synctest.Wait()
		require.Equal(t, "b=1", s.shows(lv.View{Env: "g"}))
	})
}

func TestOneOfManyProcessesAppliesWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.save("a", "1")
		plan := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
		s.approve(plan.ID)
		_, err := s.Schedule(t.Context(), plan.ID, time.Now().Add(time.Minute), bob)
		require.NoError(t, err)
		for range 4 {
			other := serve(t, lv.Config{VersionStore: s.store})
			other.run()
		}
		time.Sleep(2 * time.Minute)
		require.Equal(t, lv.ReleaseApplied, s.stored(plan.ID).State)
		require.Equal(t, "a=1", s.shows(lv.View{}))
		count := 0
		for e, err := range s.store.Watch(within(t, 10*time.Second), 0) {
			if err != nil {
				break
			}
			if e.Kind == lv.EventReleased {
				count++
			}
		}
		require.Equal(t, 1, count)
	})
}

// within returns a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
