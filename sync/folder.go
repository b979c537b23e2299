package sync

import (
	"context"
	"errors"
	"io"
	"iter"
)

// Folder is the Syncer of one local folder. Its commits are those of the remote
// in Settings.
type Folder struct{ config Config }

var _ Syncer = (*Folder)(nil)

var errLater = errors.New("sync: not built yet")

// New returns a Folder. It starts nothing.
func New(c Config) (*Folder, error) { return &Folder{c}, errLater }

// Plan keeps the promise of Syncer.
func (f *Folder) Plan(ctx context.Context, r Request) (Plan, error) { return Plan{}, errLater }

// Start keeps the promise of Syncer.
func (f *Folder) Start(ctx context.Context, r Request) (Run, error) { return Run{}, errLater }

// Wait keeps the promise of Syncer.
func (f *Folder) Wait(ctx context.Context, id string) (Run, error) { return Run{}, errLater }

// Sync is Start and Wait.
func (f *Folder) Sync(ctx context.Context, r Request) (Run, error) { return Run{}, errLater }

// Nudge says that something has changed on either side: Run syncs after 2
// seconds without another Nudge, and back-off begins anew.
func (f *Folder) Nudge() {}

// Cancel keeps the promise of Syncer.
func (f *Folder) Cancel(ctx context.Context, id string, by By) error { return errLater }

// Configure changes the Settings of Status, whatever they are by then.
func (f *Folder) Configure(ctx context.Context, change func(*Settings), by By) error { return errLater }

// Get keeps the promise of Syncer.
func (f *Folder) Get(ctx context.Context, id string) (Run, error) { return Run{}, errLater }

// Status keeps the promise of Syncer.
func (f *Folder) Status(ctx context.Context) (Status, error) { return Status{}, errLater }

// History keeps the promise of Syncer.
func (f *Folder) History(ctx context.Context, q Query) iter.Seq2[Run, error] { return nil }

// Watch keeps the promise of Syncer.
func (f *Folder) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] { return nil }

// Follow yields the events of one run from its first on, and ends with its
// last. The promises of Watch hold.
func (f *Folder) Follow(ctx context.Context, id string) iter.Seq2[Event, error] { return nil }

// Commits yields the commits that q selects, newest first, and stops after an
// error.
func (f *Folder) Commits(ctx context.Context, q CommitQuery) iter.Seq2[Commit, error] { return nil }

// Diff yields what differs from one commit to another, by path. "" is the
// folder as it was last synced.
func (f *Folder) Diff(ctx context.Context, from, to string) iter.Seq2[Difference, error] { return nil }

// Open reads a file as a commit has it. ErrNotFound.
func (f *Folder) Open(ctx context.Context, commit, path string) (io.ReadCloser, error) {
	return nil, errLater
}

// Restore starts a run that brings older content back, as a local edit that the
// next sync commits. What was there stays in history.
func (f *Folder) Restore(ctx context.Context, r RestoreRequest) (Run, error) { return Run{}, errLater }

// Tag names a commit, which is then never forgotten. An empty commit removes
// the tag.
func (f *Folder) Tag(ctx context.Context, tag, commit string, by By) error { return errLater }

// Conflicts yields the conflict copies that are there, by path.
func (f *Folder) Conflicts(ctx context.Context) iter.Seq2[Conflict, error] { return nil }

// Resolve ends a conflict, as a local edit that the next sync commits. It
// returns ErrStale if one of the two files is no longer as c has it.
func (f *Folder) Resolve(ctx context.Context, c Conflict, keep Keep, by By) error { return errLater }

// Verify yields the objects that commits need and that are missing or damaged.
// It changes nothing.
func (f *Folder) Verify(ctx context.Context, d Depth) iter.Seq2[Damage, error] { return nil }

// Repair starts a run that commits that damaged objects are gone, so that any
// device that still has the content sends it again.
func (f *Folder) Repair(ctx context.Context, by By) (Run, error) { return Run{}, errLater }

// PlanCompact tells what Compact would do.
func (f *Folder) PlanCompact(ctx context.Context, keep Retention) (Compaction, error) {
	return Compaction{}, errLater
}

// Compact starts a run that forgets the commits that keep does not keep and
// deletes what nothing needs. It is a commit like any other, safe beside devices
// that sync. It stops at anything unreadable, and at a remote whose clock cannot
// be right.
func (f *Folder) Compact(ctx context.Context, keep Retention, by By) (Run, error) {
	return Run{}, errLater
}

// Keys yields the keys of the remote. Each opens all of it.
func (f *Folder) Keys(ctx context.Context) iter.Seq2[Key, error] { return nil }

// AddKey lets a further passphrase open the remote.
func (f *Folder) AddKey(ctx context.Context, name, passphrase string, by By) (Key, error) {
	return Key{}, errLater
}

// RemoveKey makes a passphrase open nothing any more. Devices that have opened
// the remote go on. The last key is not removed: ErrInvalid.
func (f *Folder) RemoveKey(ctx context.Context, id string, by By) error { return errLater }

// Run syncs now, at every Interval and after Nudge, later after a failure, and
// compacts by Retain, until ctx ends. Its first sync is the boot sync.
func (f *Folder) Run(ctx context.Context) error { return errLater }

// Shutdown stops the live run at a safe point and waits for it until ctx ends;
// then it ends the run's context. What is committed is applied by the next run.
// Calls that follow return ErrClosed.
func (f *Folder) Shutdown(ctx context.Context) error { return errLater }

// Close is Shutdown without patience. It may be called twice.
func (f *Folder) Close() error { return nil }
