package sync

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/internal/follow"
	"github.com/upkeep-go/upkeep/lease"
)

// Folder is the Syncer of one local folder. Its commits are those of the remote
// in Settings.
type Folder struct {
	config     Config
	records    records
	item       string // of the lease
	door       *closing.Door
	line       lease.Line
	nudged     chan struct{}
	configures chan struct{} // whoever has put something into it may change the settings

	mu      sync.Mutex
	live    *runner          // what this process works on
	given   map[string]error // by run: why this process works on it no more, though it is not done
	telling map[string]bool  // runs of which OnFinish is, or was, told
	gate    string           // why it left a sync out
	thinned time.Time        // when the last compaction began that is known to have succeeded
}

var _ Syncer = (*Folder)(nil)

// Get keeps the promise of Syncer.
func (f *Folder) Get(ctx context.Context, id string) (Run, error) { return f.records.get(ctx, id) }

// History keeps the promise of Syncer.
func (f *Folder) History(ctx context.Context, q Query) iter.Seq2[Run, error] {
	return f.records.history(ctx, q)
}

// Watch keeps the promise of Syncer.
func (f *Folder) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return f.config.FolderStore.Watch(ctx, after)
}

// Follow yields the events of one run from its first on, and ends with its
// last. The promises of Watch hold. An unknown run is ErrNotFound, and ErrClosed
// tells that the Folder was closed before the run has ended.
func (f *Folder) Follow(ctx context.Context, id string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		run, err := f.Get(ctx, id)
		if err != nil {
			yield(Event{}, err)
			return
		}
		for e, err := range f.following(run).Events(ctx) {
			if !yield(e, err) {
				return
			}
		}
	}
}

func (f *Folder) following(run Run) follow.Run[Event] {
	return follow.Run[Event]{
		ID: run.ID, Seq: max(run.Seq, 1), Watch: f.Watch, Door: f.door, Closed: errClosing,
		About: func(e Event) follow.Event {
			return follow.Event{Seq: e.Seq, Time: e.Time, Run: e.Run, Last: e.Kind == EventEnded, Corrupt: e.Kind == EventCorrupt}
		},
		End: func(ctx context.Context) (time.Time, bool) {
			run, err := f.Get(ctx, run.ID)
			return run.EndedAt, err == nil && run.State.Done()
		},
	}
}

// Cancel keeps the promise of Syncer.
func (f *Folder) Cancel(ctx context.Context, id string, by By) error {
	by = by.bounded()
	run, err := f.Get(ctx, id)
	if err != nil || run.State.Done() {
		return err
	}
	_, err = f.records.write(ctx, 0, []Entry{noted(keyCancel, cancelling{id, by})},
		Event{Kind: EventCancel, Run: id, State: run.State, Step: run.Step, Percent: run.Percent, Actor: by.Actor, Message: by.Reason})
	if err != nil {
		return fmt.Errorf("run %q: %w", id, err)
	}
	if work, _ := f.working(id); work != nil {
		work.cancel(ErrCancelled)
	}
	return nil
}

// cancelling is a wish that a run stops.
type cancelling struct {
	Run string
	By  By
}

// cancelled returns who wants a run to stop, or nil.
func (f *Folder) cancelled(ctx context.Context, id string) (*By, error) {
	var wish cancelling
	found, err := f.records.read(ctx, keyCancel, &wish)
	if err != nil || !found || wish.Run != id {
		return nil, err
	}
	return &wish.By, nil
}

// Configure changes the Settings of Status: change is called with what stands. A
// remote that Remotes does not have is ErrNotFound.
func (f *Folder) Configure(ctx context.Context, change func(*Settings), by By) error {
	by = by.bounded()
	select {
	case f.configures <- struct{}{}: // one after the other
		defer func() { <-f.configures }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	was, err := f.settings(ctx)
	if err != nil {
		return err
	}
	settings := was
	change(&settings)
	if err := fits("Settings.Remote", settings.Remote, maxText); err != nil {
		return err
	}
	if settings.Remote != was.Remote {
		if settings.Remote, err = f.named(ctx, settings.Remote); err != nil {
			return err
		}
	}
	if settings == was {
		return nil
	}
	_, err = f.records.write(ctx, 0, []Entry{noted(keySettings, settings)}, Event{
		Kind: EventConfigured, Actor: by.Actor,
		Message: cut(fmt.Sprintf("enabled=%t remote=%q %s", settings.Enabled, settings.Remote, by.Reason), maxReason),
	})
	if err == nil {
		f.Nudge()
	}
	return err
}

// settings are those of Configure.
func (f *Folder) settings(ctx context.Context) (Settings, error) {
	settings := Settings{Enabled: true}
	_, err := f.records.read(ctx, keySettings, &settings)
	return settings, err
}

// Status keeps the promise of Syncer.
func (f *Folder) Status(ctx context.Context) (Status, error) {
	settings, err := f.settings(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: f.config.Name, Device: f.config.Device, Settings: settings}
	f.mu.Lock()
	s.Gate = f.gate
	f.mu.Unlock()
	if s.Run, err = f.records.live(ctx); err != nil {
		return Status{}, err
	}
	if s.Last, err = f.records.last(ctx); err != nil {
		return Status{}, err
	}
	var p present
	if _, err := f.records.read(ctx, f.notesOf(settings.Remote).prefix+keyPresent, &p); err != nil {
		return Status{}, err
	}
	s.Commit, s.SyncedAt, s.Conflicts, s.Problems, s.Devices = p.Commit, p.SyncedAt, p.Conflicts, p.Problems, p.Devices
	return s, nil
}

// Shutdown stops the live run at a safe point and waits for it until ctx ends;
// then it ends the run's context. What is committed is applied by the next run.
// Calls that would begin something, or ask the remote, return ErrClosed then.
func (f *Folder) Shutdown(ctx context.Context) error { return f.door.Shutdown(ctx) }

// Close is Shutdown without patience. It may be called twice, and never fails.
func (f *Folder) Close() error {
	f.door.Close()
	return nil
}

// log says what happens to a run.
func (f *Folder) log(level slog.Level, what string, run Run, more ...any) {
	about := []any{"folder", f.config.Name, "run", run.ID, "kind", run.Kind}
	for _, a := range []struct{ key, value string }{
		{"remote", run.Request.Remote}, {"mode", string(run.Request.Mode)}, {"actor", run.Request.By.Actor}, {"reason", run.Reason},
	} {
		if a.value != "" {
			about = append(about, a.key, a.value)
		}
	}
	f.config.Logger.Log(context.Background(), level, "sync: "+what, append(about, more...)...)
}
