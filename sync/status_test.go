package sync_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// counting is a FolderStore that counts the entries of its lists, which an engine
// reads as a whole.
type counting struct {
	cloudsync.FolderStore
	listed *int
}

func (c counting) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	all := c.FolderStore.List(ctx, prefix)
	for range all {
		*c.listed++
	}
	return all
}

func TestStatusReadsNoMoreThanTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listed := 0
		slow := newSlow(memory.New().Remote("notes"))
		close(slow.waits)
		d := newDesk(t, "laptop", slow, func(c *cloudsync.Config) {
			c.FolderStore = counting{memory.New().SyncState("notes"), &listed}
		})
		status, err := d.Status(t.Context())
		require.NoError(t, err)
		require.Nil(t, status.Last)
		last := d.sync(cloudsync.Request{})
		slow.waits, slow.at = make(chan struct{}), make(chan struct{}, 1000)
		d.disk.write("n", "1")
		live, err := d.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		<-slow.at
		synctest.Wait()
		status, err = d.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, live.ID, status.Run.ID)
		require.Equal(t, last.ID, status.Last.ID)
		close(slow.waits)
		_, err = d.Wait(t.Context(), live.ID)
		require.NoError(t, err)
		for range 50 {
			last = d.sync(cloudsync.Request{})
		}
		listed = 0
		status, err = d.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, last.ID, status.Last.ID)
		require.Less(t, listed, 10)
	})
}
