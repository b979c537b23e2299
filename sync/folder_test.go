package sync_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// desk is a device as a program has it: a folder, a store, and a Folder over
// both.
type desk struct {
	*cloudsync.Folder
	t     *testing.T
	disk  *disk
	store *memory.DB
	c     cloudsync.Config
}

// newDesk returns a device that syncs with a remote. Change makes its Config
// another one.
func newDesk(t *testing.T, name string, remote cloudsync.Remote, change func(*cloudsync.Config)) *desk {
	d := &desk{t: t, disk: newDisk(), store: memory.New()}
	d.c = cloudsync.Config{
		Name: "notes", Device: name, Store: d.store, Remote: remote, Vault: latch("secret"),
		Files:  mount{d.disk, new(process), cloudsync.Caps{Modes: true, Symlinks: true, CaseSensitive: true}},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&d.c)
	}
	d.open()
	return d
}

// open begins a process.
func (d *desk) open() {
	var err error
	d.Folder, err = cloudsync.New(d.c)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { require.NoError(d.t, d.Close()) })
}

func (d *desk) sync(q cloudsync.Request) cloudsync.Run {
	d.t.Helper()
	run, err := d.Sync(d.t.Context(), q)
	require.NoError(d.t, err)
	return run
}

// slow is a Remote that waits in its puts until it is told to go on.
type slow struct {
	cloudsync.Remote
	waits chan struct{} // nil for no waiting
	at    chan struct{} // a put waits
}

func newSlow(r cloudsync.Remote) *slow {
	return &slow{r, make(chan struct{}), make(chan struct{}, 1000)}
}

func (s *slow) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	s.at <- struct{}{}
	select {
	case <-s.waits:
		return s.Remote.PutIfAbsent(ctx, name, body)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestFoldersOfTwoDevicesHaveTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a, b := newDesk(t, "laptop", cloud, nil), newDesk(t, "phone", cloud, nil)
		a.disk.write("diary.md", "dear diary")
		run := a.sync(cloudsync.Request{By: cloudsync.By{Actor: "ann"}})
		require.Equal(t, 1, run.Uploaded)
		require.Equal(t, cloudsync.StateSucceeded, run.State)
		require.Equal(t, 100, run.Percent)
		run = b.sync(cloudsync.Request{})
		require.Equal(t, 1, run.Downloaded)
		require.Equal(t, a.disk.String(), b.disk.String())
		status, err := b.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, run.Commit, status.Commit)
		require.NotEmpty(t, status.Commit)
		require.WithinDuration(t, time.Now(), status.SyncedAt, 0)
		require.Equal(t, run.ID, status.Last.ID)
		require.Nil(t, status.Run)
	})
}

func TestARunIsToldFromItsFirstEventToItsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		a.disk.write("diary.md", "dear diary")
		first := a.sync(cloudsync.Request{})
		a.disk.write("diary.md", "dear old diary")
		run, err := a.Start(t.Context(), cloudsync.Request{By: cloudsync.By{Actor: "ann", Reason: "because"}})
		require.NoError(t, err)
		require.Greater(t, run.Seq, first.Seq)
		var kinds []cloudsync.EventKind
		percent := 0
		for e, err := range a.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			require.Equal(t, run.ID, e.Run)
			require.GreaterOrEqual(t, e.Percent, percent)
			percent = e.Percent
			if e.Kind == cloudsync.EventStarted {
				require.Equal(t, run.Seq, e.Seq)
				require.Equal(t, "ann", e.Actor)
			}
			if len(kinds) == 0 || kinds[len(kinds)-1] != e.Kind {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Equal(t, cloudsync.EventStarted, kinds[0])
		require.Equal(t, cloudsync.EventEnded, kinds[len(kinds)-1])
		require.Contains(t, kinds, cloudsync.EventStep)
		require.Equal(t, 100, percent)
		var ids []string
		for run, err := range a.History(t.Context(), cloudsync.Query{}) {
			require.NoError(t, err)
			ids = append(ids, run.ID)
		}
		require.Equal(t, []string{run.ID, first.ID}, ids)
		for run, err := range a.History(t.Context(), cloudsync.Query{After: run.ID}) {
			require.NoError(t, err)
			require.Equal(t, first.ID, run.ID)
		}
		require.ErrorIs(t, lastOf(a.Follow(t.Context(), "7-nobody")), cloudsync.ErrNotFound)
		_, err = a.Get(t.Context(), "nonsense")
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	})
}

// lastOf is the error that a list ends with.
func lastOf[T any](all func(func(T, error) bool)) (last error) {
	for _, err := range all {
		last = err
	}
	return last
}

func TestOneRunIsLiveAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		a := newDesk(t, "laptop", cloud, nil)
		other := *a // another process of the same device
		other.open()
		q := cloudsync.Request{By: cloudsync.By{RequestID: "once"}}
		run, err := a.Start(t.Context(), q)
		require.NoError(t, err)
		<-cloud.at
		_, err = a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		require.NotErrorIs(t, err, cloudsync.ErrBooting)
		_, err = other.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		_, err = other.Plan(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		require.NotContains(t, err.Error(), "lease", "nor whose it is")
		again, err := other.Start(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, run.ID, again.ID)
		close(cloud.waits)
		_, err = other.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		again, err = a.Start(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, run.ID, again.ID)
		require.Equal(t, cloudsync.StateSucceeded, again.State)
	})
}

func TestARunIsCancelledByAnyProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("diary.md", "dear diary")
		other := *a
		other.open()
		run, err := a.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		<-cloud.at
		began := time.Now()
		require.NoError(t, other.Cancel(t.Context(), run.ID, cloudsync.By{Actor: "bob", Reason: "not now"}))
		run, err = a.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, cloudsync.ErrCancelled)
		require.LessOrEqual(t, time.Since(began), time.Second)
		require.Equal(t, "by bob: not now", run.Reason)
		require.Equal(t, "bob", run.Cancel.Actor)
		require.NoError(t, a.Cancel(t.Context(), run.ID, cloudsync.By{}), "a run that is done")
		require.ErrorIs(t, a.Cancel(t.Context(), "1-none", cloudsync.By{}), cloudsync.ErrNotFound)
		close(cloud.waits)
		a.sync(cloudsync.Request{}) // nothing is left of the wish
	})
}

// broken is what a process has of the world once it is dead: nothing.
type broken struct {
	cloudsync.Store
	dead bool
	mute bool // the end of no run is recorded
}

func (b *broken) SyncState(name string) cloudsync.FolderStore {
	return brokenStore{b.Store.SyncState(name), b}
}

type brokenStore struct {
	cloudsync.FolderStore
	b *broken
}

func (s brokenStore) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
	for _, e := range events {
		if s.b.mute && e.Kind == cloudsync.EventEnded {
			return 0, errDead
		}
	}
	return s.FolderStore.Update(ctx, token, entries, events...)
}

var errDead = errors.New("dead")

func (b *broken) Locker() lease.Locker { return brokenLocker{b.Store.Locker(), b} }

type brokenLocker struct {
	lease.Locker
	b *broken
}

func (l brokenLocker) Renew(ctx context.Context, held lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if l.b.dead {
		return lease.Lease{}, errDead
	}
	return l.Locker.Renew(ctx, held, ttl)
}

func (l brokenLocker) Release(ctx context.Context, held lease.Lease) error {
	if l.b.dead {
		return errDead
	}
	return l.Locker.Release(ctx, held)
}

func TestARunIsTakenUpFromADeadProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		var store *broken
		var ended []string
		a := newDesk(t, "laptop", cloud, func(c *cloudsync.Config) {
			store = &broken{Store: c.Store}
			c.Store, c.Owner = store, "the first"
		})
		a.disk.write("diary.md", "dear diary")
		run, err := a.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		<-cloud.at
		store.dead = true
		other := *a
		other.c.Store, other.c.Owner = a.store, "the second"
		other.c.OnFinish = func(run cloudsync.Run) { ended = append(ended, run.ID) }
		other.open()
		_, err = a.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, lease.ErrLost)
		close(cloud.waits)
		time.Sleep(time.Minute)
		_, err = other.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy, "it is taken up")
		run, err = other.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Contains(t, run.Owner, "the second")
		recovered := 0
		for e, err := range other.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			if e.Kind == cloudsync.EventRecovered {
				recovered++
				require.Contains(t, e.Message, "the first")
			}
		}
		require.Equal(t, 1, recovered)
		synctest.Wait()
		require.Equal(t, []string{run.ID}, ended)
	})
}

func TestShutdownLeavesTheRunForTheNextProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newSlow(memory.New().Remote("notes"))
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("diary.md", "dear diary")
		run, err := a.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		<-cloud.at
		ctx, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		require.ErrorIs(t, a.Shutdown(ctx), context.DeadlineExceeded)
		run, err = a.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, cloudsync.ErrClosed)
		require.Equal(t, cloudsync.StateRunning, run.State)
		_, err = a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrClosed)
		close(cloud.waits)
		a.open()
		_, err = a.Start(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrBusy)
		_, err = a.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestAFailedRunIsTheSameErrorAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a := newDesk(t, "laptop", cloud, nil)
		for i := range 50 {
			a.disk.write(string(rune('a'+i)), "some text")
		}
		a.sync(cloudsync.Request{})
		for i := range 40 {
			a.disk.remove(string(rune('a' + i)))
		}
		run, err := a.Sync(t.Context(), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrGuard)
		require.ErrorIs(t, err, cloudsync.ErrFailed)
		a.open()
		run, err = a.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.ErrorIs(t, run.Err(), cloudsync.ErrGuard)
		plan, err := a.Plan(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		require.Contains(t, plan.Guard, "40 of 50 files")
		require.Len(t, plan.Actions, 40)
		run = a.sync(cloudsync.Request{Plan: plan.ID})
		require.Equal(t, 40, run.Deleted)
		_, err = a.Sync(t.Context(), cloudsync.Request{Plan: plan.ID})
		require.ErrorIs(t, err, cloudsync.ErrStale)
	})
}

func TestBadRequestsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		for _, q := range []cloudsync.Request{
			{Mode: "sideways"}, {Fresh: true, Mode: cloudsync.ModeForcePush}, {By: cloudsync.By{RequestID: string(make([]byte, 257))}},
			{Plan: string(make([]byte, 257))},
		} {
			_, err := a.Start(t.Context(), q)
			require.ErrorIs(t, err, cloudsync.ErrInvalid)
			_, err = a.Plan(t.Context(), q)
			require.ErrorIs(t, err, cloudsync.ErrInvalid)
		}
		require.NoError(t, lastOf(a.History(t.Context(), cloudsync.Query{})))
		_, err := a.Sync(t.Context(), cloudsync.Request{Remote: "none"})
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
		require.NoError(t, lastOf(a.History(t.Context(), cloudsync.Query{})))
		for _, change := range []func(*cloudsync.Config){
			func(c *cloudsync.Config) { c.Name = "" }, func(c *cloudsync.Config) { c.Store = nil }, func(c *cloudsync.Config) { c.Files = nil },
			func(c *cloudsync.Config) { c.Remote = nil }, func(c *cloudsync.Config) { c.Vault = nil }, func(c *cloudsync.Config) { c.Interval = 1 },
			func(c *cloudsync.Config) { c.MaxDelete.Share = 2 }, func(c *cloudsync.Config) { c.Retain.Daily = -1 },
		} {
			c := a.c
			change(&c)
			_, err := cloudsync.New(c)
			require.ErrorIs(t, err, cloudsync.ErrInvalid)
		}
	})
}
