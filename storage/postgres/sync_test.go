//go:build unix

package postgres_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/postgres"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestWhatIsNotedOfAFolderBeginsANewHistoryInARestoredDatabase(t *testing.T) {
	schema := shared.newSchema(t)
	c := postgres.Config{URL: shared.url(schema)}
	db := open(t, c)
	tokens := map[string]int64{}
	// save writes events by a new lease of the folder, and returns the number of the
	// first.
	save := func(name string, events int) int64 {
		t.Helper()
		held, err := db.Locker().Acquire(t.Context(), "sync:"+name, "me", time.Hour)
		require.NoError(t, err)
		require.Greater(t, held.Token, tokens[name], "%s: it was given before", name)
		tokens[name] = held.Token
		all := slices.Repeat([]cloudsync.Event{{Kind: cloudsync.EventLog}}, events)
		seq, err := db.SyncState(name).Update(t.Context(), held.Token, []cloudsync.Entry{{Key: "token", Value: []byte(name)}}, all...)
		require.NoError(t, err)
		require.NoError(t, db.Locker().Release(t.Context(), held))
		return seq - int64(events) + 1
	}
	dump := filepath.Join(shared.dir, schema+".dump")
	tool := func(name string, args ...string) {
		t.Helper()
		cmd := shared.command(name, append([]string{"-h", shared.dir, "-U", "upkeep"}, args...)...)
		cmd.Path = toolOf(t, shared, name)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	save("kept", 3)
	save("quiet", 0)
	tool("pg_dump", "-d", "postgres", "-n", schema, "-Fc", "-f", dump)
	save("kept", 2)
	save("quiet", 2)
	save("lost", 4)
	require.NoError(t, db.Close())
	tool("pg_restore", "-d", "postgres", "--clean", "--if-exists", "--single-transaction", dump)

	db = open(t, c)
	for _, name := range []string{"kept", "quiet", "lost", "new"} {
		gone := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for _, err := range db.SyncState(name).Watch(ctx, 4) {
				require.ErrorIs(t, err, cloudsync.ErrCompacted, "%s: it is of another history", name)
			}
		}
		gone()
		stale := tokens[name]
		seq := save(name, 2)
		require.Greater(t, seq, int64(1000), "with numbers that were never given")
		for e, err := range db.SyncState(name).Watch(t.Context(), seq-1) {
			require.NoError(t, err)
			require.Equal(t, seq, e.Seq)
			break
		}
		require.Equal(t, seq+2, save(name, 1))
		gone()
		if stale > 0 {
			_, err := db.SyncState(name).Update(t.Context(), stale, nil)
			require.ErrorIs(t, err, cloudsync.ErrStale, "who held the folder before is too late")
		}
	}
}
