package updatetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

const lockOfRuns = "my/core" // which is escaped in the name of its lease

// leased returns a lease and a run under it.
func leased(t *journalTest, l lease.Locker, id string) (lease.Lease, update.Run) {
	t.Helper()
	own, err := l.Acquire(t.Context(), lease.Item("update", lockOfRuns), "me#1", time.Hour)
	require.NoError(t, err)
	r := aRun(id)
	r.Item, r.Token, r.Owner = lockOfRuns, own.Token, own.Owner
	return own, t.create(r)
}

func doneEndsLease(t *journalTest) {
	l := t.locker()
	for _, s := range []update.State{update.StateSucceeded, update.StateRolledBack, update.StateCancelled, update.StateFailed} {
		own, r := leased(t, l, string(s))
		r.State = s
		t.save(r, update.Event{Kind: update.EventEnded})
		_, err := l.Holder(t.Context(), own.Item)
		require.ErrorIs(t, err, lease.ErrFree, "the save that ends a run as %s ends its lease", s)
		_, err = l.Renew(t.Context(), own, time.Hour)
		require.ErrorIs(t, err, lease.ErrLost, "the lease of a run that is done cannot be renewed")
		require.NoError(t, l.Release(t.Context(), own), "who held it may release it all the same")
	}
}

func liveKeepsLease(t *journalTest) {
	l := t.locker()
	own, r := leased(t, l, "1")
	for _, s := range []update.State{update.StateRunning, update.StateRollingBack} {
		r.State = s
		r = t.save(r, update.Event{Kind: update.EventProgress})
		held, err := l.Holder(t.Context(), own.Item)
		require.NoError(t, err, "a run that is %s keeps its lease", s)
		require.Equal(t, own.Token, held.Token)
	}
	ended := r
	ended.Rev, ended.State = r.Rev-1, update.StateSucceeded
	_, err := t.Save(t.Context(), ended)
	require.ErrorIs(t, err, update.ErrStale)
	_, err = l.Holder(t.Context(), own.Item)
	require.NoError(t, err, "a save that is refused ends no lease")
}

func doneEndsNoOther(t *journalTest) {
	l := t.locker()
	own, r := leased(t, l, "of an earlier lease")
	require.NoError(t, l.Release(t.Context(), own))
	own, _ = leased(t, l, "of this lease")
	held := func(why string) {
		t.Helper()
		now, err := l.Holder(t.Context(), own.Item)
		require.NoError(t, err, why)
		require.Equal(t, own.Token, now.Token, why)
	}
	other := func(id string, change func(*update.Run)) {
		t.Helper()
		r := aRun(id)
		r.Item, r.Token, r.Owner = lockOfRuns, own.Token, own.Owner
		change(&r)
		r = t.create(r)
		r.State = update.StateSucceeded
		t.save(r)
		held("the lease of " + id + " is another one")
	}
	other("another owner", func(r *update.Run) { r.Owner = "you#2" })
	other("nobody", func(r *update.Run) { r.Owner = "" })
	other("another item", func(r *update.Run) { r.Item = "My/core" })
	r.State = update.StateFailed
	_, err := t.Save(t.Context(), r)
	require.ErrorIs(t, err, update.ErrStale, "its token was overtaken")
	held("a run of an earlier lease ends that one only")
}
