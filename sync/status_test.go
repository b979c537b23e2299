package sync_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// counting is a FolderStore that counts the entries that are read, of lists too,
// which an engine reads as a whole.
type counting struct {
	cloudsync.FolderStore
	listed *atomic.Int64
}

func (c counting) Get(ctx context.Context, key string) ([]byte, error) {
	c.listed.Add(1)
	return c.FolderStore.Get(ctx, key)
}

func (c counting) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	all := c.FolderStore.List(ctx, prefix)
	for range all {
		c.listed.Add(1)
	}
	return all
}

func TestStatusReadsNoMoreThanTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var listed atomic.Int64
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
		listed.Store(0)
		status, err = d.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, last.ID, status.Last.ID)
		require.Less(t, listed.Load(), int64(10))
	})
}

func TestACompactionIsStoppedBetweenTwoObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := &sluggish{Remote: memory.New().Remote("notes")}
		d := newDesk(t, "laptop", remote, nil)
		for i := range 30 {
			d.disk.write("n", fmt.Sprint(i))
			d.sync(cloudsync.Request{})
		}
		time.Sleep(24 * time.Hour)
		d.disk.write("n", "last")
		d.sync(cloudsync.Request{})
		run, err := d.Compact(t.Context(), cloudsync.Retention{Age: time.Hour}, cloudsync.By{})
		require.NoError(t, err)
		time.Sleep(5*time.Second + time.Millisecond)
		live, err := d.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, cloudsync.StepCompact, live.Step)
		require.Positive(t, live.Progress.Files)
		require.Greater(t, live.Progress.AllFiles, live.Progress.Files)
		require.NoError(t, d.Shutdown(t.Context()))
		require.Less(t, remote.deleted, 10)

		d.open()
		_, err = d.Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy, "it is taken up")
		run, err = d.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, 100, run.Percent)
		require.Greater(t, remote.deleted, 25)
	})
}

// sluggish is a Remote whose deletions take a second.
type sluggish struct {
	cloudsync.Remote
	deleted int
}

func (s *sluggish) Delete(ctx context.Context, name string) error {
	if err := pause.For(ctx, time.Second); err != nil {
		return err
	}
	s.deleted++
	return s.Remote.Delete(ctx, name)
}
