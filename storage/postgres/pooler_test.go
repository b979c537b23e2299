package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
)

// TestATransactionPoolerMayStandInBetween works through one whose sessions
// change with every transaction.
func TestATransactionPoolerMayStandInBetween(t *testing.T) {
	schema := shared.newSchema(t)
	dir := newPooler(t, shared, schema)
	pooled := open(t, postgres.Config{URL: urlAt(dir, "") + "&default_query_exec_mode=exec"})
	direct := open(t, postgres.Config{URL: shared.url(schema)})

	lease, err := pooled.Locker().Acquire(t.Context(), "core", "pooled", time.Hour)
	require.NoError(t, err)
	_, err = direct.Locker().Acquire(t.Context(), "core", "direct", time.Hour)
	require.ErrorIs(t, err, update.ErrHeld)
	for range 20 {
		lease, err = pooled.Locker().Renew(t.Context(), lease, time.Hour)
		require.NoError(t, err)
	}
	require.NoError(t, pooled.Locker().Release(t.Context(), lease))
	taken, err := direct.Locker().Acquire(t.Context(), "core", "direct", time.Hour)
	require.NoError(t, err)
	require.Greater(t, taken.Token, lease.Token)

	a, b := startWriters(t, pooled.Journal(), "pooled"), startWriters(t, direct.Journal(), "direct")
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	seq := int64(0)
	for e, err := range pooled.Journal().Watch(ctx, 0) {
		require.NoError(t, err)
		require.Equal(t, seq+1, e.Seq)
		if seq = e.Seq; seq == 400 {
			break
		}
	}
	a.end()
	b.end()
	all := append(a.acknowledged, b.acknowledged...)
	require.Empty(t, append(a.failed, b.failed...))
	require.Equal(t, len(all), requireWholeOrAbsent(t, pooled.Journal(), all))
}
