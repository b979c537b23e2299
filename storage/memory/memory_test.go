package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestTheStoresOfAnEngineAreComparable(t *testing.T) {
	db := memory.New()
	seen := map[any]bool{db.Locker(): true, db.Journal(): true}
	require.True(t, seen[db.Locker()])
	require.True(t, seen[db.Journal()])
	require.False(t, seen[memory.New().Locker()], "two engines look like one")
}

func TestSmoke(t *testing.T) {
	db := memory.New()
	ctx := context.Background()
	l, err := db.Locker().Acquire(ctx, "core", "me", time.Minute)
	require.NoError(t, err)
	r, err := db.Journal().Create(ctx, update.Run{ID: "1", Token: l.Token}, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Rev)
	for e, err := range db.Journal().Watch(ctx, 0) {
		require.NoError(t, err)
		require.Equal(t, "1", e.Run)
		break
	}
	for h, err := range db.Journal().History(ctx, update.Query{}) {
		require.NoError(t, err)
		require.Equal(t, r, h)
	}
}
