package lv_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestAProgramNeedsNoNameForWhatNobodyElseMustApprove(t *testing.T) {
	s, ctx := newSite(t), t.Context()
	v, err := s.Save(ctx, "a", page("1"), lv.By{})
	require.NoError(t, err)
	r, err := s.Publish(ctx, lv.Production, lv.By{}, "a")
	require.NoError(t, err)
	_, err = s.Release(ctx, "g", lv.By{}, v.ID)
	require.NoError(t, err)
	_, err = s.Reset(ctx, "g", lv.By{}, "a")
	require.NoError(t, err)
	_, err = s.Revert(ctx, r.ID, lv.By{})
	require.NoError(t, err)
	strategy, err := s.SaveStrategy(ctx, lv.Strategy{Target: v.ID, Rules: greeted}, lv.By{})
	require.NoError(t, err)
	require.NoError(t, s.DeleteStrategy(ctx, strategy.ID, lv.By{}))
	_, err = s.Delete(ctx, "a", lv.By{})
	require.NoError(t, err)
	_, err = s.Restore(ctx, v.ID, lv.By{})
	require.NoError(t, err)
}

func TestWhatAnotherMustApproveNeedsAName(t *testing.T) {
	s, ctx := newSite(t), t.Context()
	s.save("a", "1")
	changes := []lv.Change{{Row: "a", Working: true}}
	_, err := s.Draft(ctx, lv.Release{Changes: changes}, lv.By{Reason: "why"})
	require.ErrorIs(t, err, lv.ErrInvalid)
	require.ErrorContains(t, err, "the actor is missing")
	plan := s.plan(lv.Release{Changes: changes})
	refused := func(_ lv.Release, err error) {
		t.Helper()
		require.ErrorIs(t, err, lv.ErrInvalid)
		require.Equal(t, plan.Rev, s.stored(plan.ID).Rev)
	}
	refused(s.Approve(ctx, plan.ID, lv.By{}))
	plan = s.approve(plan.ID)
	refused(s.Schedule(ctx, plan.ID, time.Unix(4e9, 0), lv.By{}))
	refused(s.Apply(ctx, plan.ID, lv.By{}))
	refused(plan, s.Cancel(ctx, plan.ID, lv.By{}))
}

func TestAReleaseIsAppliedInTheNameOfWhoScheduledIt(t *testing.T) {
	for reason, want := range map[string]string{"on Monday": "on Monday", "": "a sale"} {
		synctest.Test(t, func(t *testing.T) {
			s, ctx := newSite(t), t.Context()
			s.save("a", "1")
			plan, err := s.Draft(ctx, lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}}, lv.By{Actor: "ann", Reason: "a sale"})
			require.NoError(t, err)
			_, err = s.Approve(ctx, plan.ID, lv.By{Actor: "bob", Reason: "looks good"})
			require.NoError(t, err)
			_, err = s.Schedule(ctx, plan.ID, time.Now().Add(time.Hour), lv.By{Actor: "cid", Reason: reason, RequestID: "once"})
			require.NoError(t, err)
			s.run()
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			done := s.stored(plan.ID)
			require.Equal(t, lv.ReleaseApplied, done.State)
			require.Equal(t, lv.By{Actor: "cid", Reason: want}, done.Last)
			require.Equal(t, "ann", done.By.Actor)
			require.Equal(t, "bob", done.Approver)
		})
	}
}
