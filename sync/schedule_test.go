package sync_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// running calls Run until the test ends.
func (d *desk) running() {
	ctx, stop := context.WithCancel(d.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.t.Cleanup(func() {
		stop()
		require.ErrorIs(d.t, <-ended, context.Canceled)
	})
}

// runs are all, the newest first.
func (d *desk) runs() (all []cloudsync.Run) {
	for run, err := range d.History(context.Background(), cloudsync.Query{}) {
		require.NoError(d.t, err)
		all = append(all, run)
	}
	return all
}

func TestRunSyncsAtOnceAndAtEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) { c.Interval = 10 * time.Minute })
		a.running()
		synctest.Wait()
		require.Len(t, a.runs(), 1)
		require.True(t, a.runs()[0].Boot)
		time.Sleep(9*time.Minute - time.Second)
		require.Len(t, a.runs(), 1)
		time.Sleep(2*time.Minute + 2*time.Second)
		synctest.Wait()
		require.Len(t, a.runs(), 2)
		require.False(t, a.runs()[0].Boot)
	})
}

func TestDuringTheBootSyncOthersAreToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		a := newDesk(t, "laptop", cloud, nil)
		a.running()
		<-cloud.at
		_, err := a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBooting)
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		close(cloud.waits)
		synctest.Wait()
		a.sync(cloudsync.Request{})
	})
}

func TestANudgeSyncsOnceItIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		a.running()
		synctest.Wait()
		for range 5 {
			a.Nudge()
			a.Nudge()
			time.Sleep(time.Second)
		}
		require.Len(t, a.runs(), 1)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		require.Len(t, a.runs(), 2)
	})
}

// down is a Remote that does not answer.
type down struct {
	cloudsync.Remote
	is    atomic.Bool
	after string // that was put
}

func (d *down) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if d.is.Load() {
		return cloudsync.ErrDenied
	}
	d.is.Store(name == d.after)
	return d.Remote.PutIfAbsent(ctx, name, body)
}

func TestAfterAFailureRunWaitsLongerEachTimeUntilItIsNudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := &down{Remote: memory.New().Remote("notes")}
		cloud.is.Store(true)
		a := newDesk(t, "laptop", cloud, func(c *cloudsync.Config) { c.Interval = 24 * time.Hour })
		a.disk.write("diary.md", "dear diary")
		a.running()
		time.Sleep(8 * time.Second)
		synctest.Wait()
		first := len(a.runs())
		require.GreaterOrEqual(t, first, 2, "5 seconds and a half at most after the first failure")
		time.Sleep(24 * time.Hour)
		many := len(a.runs())
		require.Less(t, many, 150)
		require.Greater(t, many, 24)
		cloud.is.Store(false)
		a.Nudge()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Equal(t, cloudsync.StateSucceeded, a.runs()[0].State)
	})
}

func TestAGateLeavesScheduledSyncsOutAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := errors.New("on battery")
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) { c.Gate = func(context.Context) error { return closed } })
		a.running()
		synctest.Wait()
		require.Empty(t, a.runs())
		status, err := a.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, "on battery", status.Gate)
		a.sync(cloudsync.Request{})
		closed = nil
		a.Nudge()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Len(t, a.runs(), 2)
		status, err = a.Status(t.Context())
		require.NoError(t, err)
		require.Empty(t, status.Gate)
	})
}

func TestWhatIsSwitchedOffDoesNotSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		require.NoError(t, a.Configure(t.Context(), func(s *cloudsync.Settings) { s.Enabled = false }, cloudsync.By{Actor: "ann"}))
		_, err := a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrDisabled)
		a.running()
		time.Sleep(time.Hour)
		require.Empty(t, a.runs())
		require.NoError(t, a.Configure(t.Context(), func(s *cloudsync.Settings) { s.Enabled = true }, cloudsync.By{}))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Len(t, a.runs(), 1)
	})
}

func TestRunTakesUpWhatADeadProcessHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		a := newDesk(t, "laptop", cloud, nil)
		run, err := a.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		<-cloud.at
		require.NoError(t, a.Close())
		close(cloud.waits)
		a.open()
		a.running()
		time.Sleep(time.Second)
		synctest.Wait()
		all := a.runs()
		require.Len(t, all, 2)
		require.Equal(t, run.ID, all[1].ID)
		require.Equal(t, cloudsync.StateSucceeded, all[1].State)
		require.True(t, all[0].Boot)
	})
}
