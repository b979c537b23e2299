package sync_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// TestWhatWasPlannedIsDoneOrNothing: also by who takes the run up.
func TestWhatWasPlannedIsDoneOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		cloud := newSlow(db.Remote("notes"))
		close(cloud.waits)
		a, b := newDesk(t, "laptop", cloud, nil), newDesk(t, "phone", db.Remote("notes"), nil)
		a.disk.write("n", "one")
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		a.disk.write("n", "two")
		push := cloudsync.Request{Mode: cloudsync.ModeForcePush}
		plan, err := a.Plan(t.Context(), push)
		require.NoError(t, err)
		push.Plan = plan.ID
		cloud.waits = make(chan struct{})
		for len(cloud.at) > 0 {
			<-cloud.at
		}
		run, err := a.Start(t.Context(), push)
		require.NoError(t, err)
		<-cloud.at
		require.NoError(t, a.Close())
		b.disk.write("precious", "of the phone")
		b.sync(cloudsync.Request{})
		close(cloud.waits)
		a.open()
		_, err = a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		_, err = a.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, cloudsync.ErrStale)
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		require.Contains(t, a.disk.String(), "of the phone")
		require.Equal(t, a.disk.String(), b.disk.String())
	})
}

// TestARunThatHadDoneItsWorkIsNotDoneAgain: it died before that was recorded.
func TestARunThatHadDoneItsWorkIsNotDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		var store *broken
		a := newDesk(t, "laptop", cloud, func(c *cloudsync.Config) {
			store = &broken{Store: c.Store}
			c.Store = store
		})
		b := newDesk(t, "phone", cloud, nil)
		a.disk.write("n", "one")
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		a.disk.write("n", "two")
		push := cloudsync.Request{Mode: cloudsync.ModeForcePush}
		plan, err := a.Plan(t.Context(), push)
		require.NoError(t, err)
		push.Plan = plan.ID
		store.mute = true
		run, err := a.Start(t.Context(), push)
		require.NoError(t, err)
		_, err = a.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, errDead)
		store.mute = false
		b.sync(cloudsync.Request{})
		b.disk.write("precious", "of the phone")
		b.sync(cloudsync.Request{})
		_, err = a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		run, err = a.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.NotEmpty(t, run.Commit)
		a.sync(cloudsync.Request{})
		require.Contains(t, a.disk.String(), "of the phone")
	})
}

func TestARunOfAFolderThatIsClosedDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		run := a.sync(cloudsync.Request{})
		synctest.Wait()
		_, err := a.store.SyncState("notes").Update(t.Context(), 0, []cloudsync.Entry{{Key: "untold/" + run.ID, Value: []byte("x")}})
		require.NoError(t, err)
		require.NoError(t, a.Close())
		require.ErrorIs(t, a.Run(t.Context()), cloudsync.ErrClosed)
	})
}

func TestRunSyncsThoughItIsNeverQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) { c.Interval = 10 * time.Minute })
		a.running()
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		for ctx.Err() == nil {
			a.Nudge()
			time.Sleep(time.Second)
		}
		require.GreaterOrEqual(t, len(a.runs()), 6)
		require.Less(t, len(a.runs()), 10)
	})
}

func TestThereIsALimitOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := strings.Repeat("n", 255)
		a := newDesk(t, name, memory.New().Remote("notes"), nil)
		a.sync(cloudsync.Request{})
		_, err := a.AddKey(t.Context(), name+"n", "another", cloudsync.By{})
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
		for range 99 {
			_, err := a.AddKey(t.Context(), name, "another", cloudsync.By{})
			require.NoError(t, err)
		}
		_, err = a.AddKey(t.Context(), name, "another", cloudsync.By{})
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
	})
}

func TestAConfigThatIsGoneComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("n", "one")
		a.sync(cloudsync.Request{})
		for _, name := range objects(t, cloud) {
			if name == "config" || strings.HasPrefix(name, "keys/") {
				require.NoError(t, cloud.Delete(t.Context(), name))
			}
		}
		_, err := newDesk(t, "phone", cloud, nil).Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrForked)
		a.sync(cloudsync.Request{Fresh: true})
		b := newDesk(t, "phone", cloud, nil)
		b.sync(cloudsync.Request{})
		require.Equal(t, a.disk.String(), b.disk.String())
	})
}

// TestKeysCountOnceASyncHasSucceeded: a first one may fail, and the remote be made
// anew.
func TestKeysCountOnceASyncHasSucceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := &down{Remote: memory.New().Remote("notes")}
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("n", "one")
		cloud.after = "config"
		_, err := a.Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrDenied)
		cloud.after = ""
		cloud.is.Store(false)
		for _, name := range objects(t, cloud) {
			require.NoError(t, cloud.Delete(t.Context(), name))
		}
		a.sync(cloudsync.Request{})
		require.Contains(t, objects(t, cloud), "config")
		newDesk(t, "phone", cloud, nil).sync(cloudsync.Request{})
	})
}

func TestAPlanOfAFreshBeginningForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		cloud := db.Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("n", "one")
		a.sync(cloudsync.Request{})
		kept := make(map[string]string)
		for _, name := range objects(t, cloud) {
			kept[name] = name
			require.NoError(t, cloud.Delete(t.Context(), name))
		}
		b := newDesk(t, "phone", cloud, nil)
		b.disk.write("m", "two")
		b.sync(cloudsync.Request{})
		before := a.notes()
		plan, err := a.Plan(t.Context(), cloudsync.Request{Fresh: true})
		require.NoError(t, err)
		require.Len(t, plan.Actions, 2)
		require.Equal(t, before, a.notes())
		run := a.sync(cloudsync.Request{Fresh: true, Plan: plan.ID})
		require.Equal(t, 1, run.Downloaded)
	})
}

// notes are what is noted of the remote.
func (d *desk) notes() (all []cloudsync.Entry) {
	for e, err := range d.store.SyncState("notes").List(d.t.Context(), "at/") {
		require.NoError(d.t, err)
		all = append(all, e)
	}
	return all
}
