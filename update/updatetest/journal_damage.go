package updatetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

// damagedCase is for engines that something else than they can reach.
var damagedCase = journalCase{"a run that cannot be read is named, and the others are listed", damagedRun}

func damagedRun(t *journalTest) {
	for _, id := range []string{"first", "second", "third"} {
		_, err := t.Create(t.Context(), aRun(id), update.Event{Kind: update.EventStarted})
		require.NoError(t, err)
	}
	t.damage("second")
	_, err := t.Get(t.Context(), "second")
	require.ErrorIs(t, err, update.ErrCorrupt)
	require.ErrorContains(t, err, `"second"`)
	for _, id := range []string{"first", "third"} {
		_, err := t.Get(t.Context(), id)
		require.NoError(t, err)
	}
	for _, q := range []update.Query{{}, {Live: true}, {Package: "demo/site"}} {
		var ids []string
		for run, err := range t.History(t.Context(), q) {
			ids = append(ids, run.ID)
			if run.ID != "second" {
				require.NoError(t, err, "%+v", q)
				continue
			}
			require.ErrorIs(t, err, update.ErrCorrupt, "%+v", q)
			require.Equal(t, []string{"demo/site", "core"}, []string{run.Package, run.Item})
		}
		require.Equal(t, []string{"third", "second", "first"}, ids, "%+v", q)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var kinds []update.EventKind
	for e, err := range t.Watch(ctx, 0) {
		require.NoError(t, err, "the feed goes on")
		require.False(t, e.Time.IsZero())
		if kinds = append(kinds, e.Kind); len(kinds) == 3 {
			break
		}
	}
	require.Equal(t, []update.EventKind{update.EventStarted, update.EventCorrupt, update.EventStarted}, kinds)
}
