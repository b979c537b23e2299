package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// notebook is a Syncer whose runs do nothing, and end at once unless they are
// held.
type notebook struct {
	*engine
	store    cloudsync.FolderStore // of events
	mu       sync.Mutex
	runs     []cloudsync.Run // in the order of their begin
	settings cloudsync.Settings
	last     map[string]time.Time // when each remote was synced last
	holds    bool                 // runs do not end
	boots    bool                 // nor is it known of them that they were asked for
}

var _ cloudsync.Syncer = (*notebook)(nil)

func newNotebook(e *engine, store cloudsync.FolderStore) *notebook {
	return &notebook{
		engine: e, store: store, settings: cloudsync.Settings{Enabled: true}, last: map[string]time.Time{"": {}, "main": {}, "other": {}},
	}
}

// tell must be called with the mutex held.
func (n *notebook) tell(run *cloudsync.Run, kinds ...cloudsync.EventKind) {
	var events []cloudsync.Event
	for _, kind := range kinds {
		events = append(events, cloudsync.Event{
			Kind: kind, Run: run.ID, State: run.State, Step: run.Step, Progress: run.Progress, Path: "diary.md", Message: "a message",
		})
	}
	last := n.write(events...)
	if run.Seq == 0 {
		run.Seq = last - int64(len(events)) + 1
	}
}

func (n *notebook) write(events ...cloudsync.Event) (last int64) {
	last, err := n.store.Update(context.Background(), 0, nil, events...)
	if err != nil {
		panic(err)
	}
	return last
}

func (n *notebook) live() *cloudsync.Run {
	if len(n.runs) == 0 || n.runs[len(n.runs)-1].State.Done() {
		return nil
	}
	return &n.runs[len(n.runs)-1]
}

func (n *notebook) Plan(_ context.Context, r cloudsync.Request) (cloudsync.Plan, error) {
	n.ask()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live() != nil {
		return cloudsync.Plan{}, cloudsync.ErrBusy
	}
	p := cloudsync.Plan{ID: "plan-1", Request: r, Guard: "120 of 130 files would be deleted"}
	for i := range 120 {
		p.Actions = append(p.Actions, cloudsync.Action{Kind: cloudsync.ActionDeleteLocal, Path: fmt.Sprintf("note %03d.md", i), Size: 7})
	}
	return p, nil
}

func (n *notebook) Start(_ context.Context, r cloudsync.Request) (cloudsync.Run, error) {
	n.ask()
	n.mu.Lock()
	defer n.mu.Unlock()
	_, known := n.last[r.Remote]
	for _, run := range n.runs {
		if r.By.RequestID != "" && run.Request.By.RequestID == r.By.RequestID {
			return run, nil
		}
	}
	switch live := n.live(); {
	case live != nil && live.Boot:
		return cloudsync.Run{}, cloudsync.ErrBooting
	case live != nil:
		return cloudsync.Run{}, cloudsync.ErrBusy
	case !n.settings.Enabled:
		return cloudsync.Run{}, cloudsync.ErrDisabled
	case !known:
		return cloudsync.Run{}, fmt.Errorf("%w: remote %q", cloudsync.ErrNotFound, r.Remote)
	}
	now := time.Now().UTC()
	n.runs = append(n.runs, cloudsync.Run{
		ID: fmt.Sprintf("run-%d", len(n.runs)+1), Kind: cloudsync.KindSync, State: cloudsync.StateRunning, Step: cloudsync.StepScan, Boot: n.boots,
		Request: r, Owner: "a process", CreatedAt: now, UpdatedAt: now,
	})
	n.wrote(nil)
	run := &n.runs[len(n.runs)-1]
	n.tell(run, cloudsync.EventStarted, cloudsync.EventStep)
	begun := *run
	if !n.holds {
		n.end(cloudsync.StateSucceeded)
	}
	return begun, nil
}

// happen makes n events of no run.
func (n *notebook) happen(count int, text string) {
	n.write(slices.Repeat([]cloudsync.Event{{Kind: cloudsync.EventConfigured, Message: text}}, count)...)
}

// end must be called with the mutex held.
func (n *notebook) end(state cloudsync.State) {
	run := n.live()
	run.Progress = cloudsync.Progress{Files: 3, AllFiles: 3, Bytes: 30, AllBytes: 30}
	n.tell(run, cloudsync.EventProgress, cloudsync.EventLog)
	run.State, run.Reason, run.EndedAt = state, "why it ended so", time.Now().UTC()
	if state == cloudsync.StateSucceeded {
		n.last[run.Request.Remote], run.Reason = run.EndedAt, ""
	}
	n.tell(run, cloudsync.EventEnded)
}

// finish ends the live run.
func (n *notebook) finish(state cloudsync.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end(state)
}

func (n *notebook) Wait(context.Context, string) (cloudsync.Run, error) {
	return cloudsync.Run{}, errors.ErrUnsupported
}

func (n *notebook) Cancel(_ context.Context, id string, by cloudsync.By) error {
	n.ask()
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.runs, func(run cloudsync.Run) bool { return run.ID == id })
	switch {
	case i < 0:
		return cloudsync.ErrNotFound
	case n.runs[i].State.Done():
		return nil
	}
	n.wrote(nil)
	n.runs[i].Cancel = &by
	n.tell(&n.runs[i], cloudsync.EventCancel)
	n.end(cloudsync.StateCancelled)
	return nil
}

func (n *notebook) Get(_ context.Context, id string) (cloudsync.Run, error) {
	n.ask()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, run := range n.runs {
		if run.ID == id {
			return run, nil
		}
	}
	return cloudsync.Run{}, cloudsync.ErrNotFound
}

func (n *notebook) Status(context.Context) (cloudsync.Status, error) {
	n.ask()
	n.mu.Lock()
	defer n.mu.Unlock()
	st := cloudsync.Status{
		Name: "notes", Device: "desk", Settings: n.settings, SyncedAt: n.last[n.settings.Remote],
		Devices: []cloudsync.Device{{Name: "desk", Commit: "1"}, {Name: "phone"}}, Problems: []cloudsync.Problem{{Path: "CON", Reason: "no name here"}},
	}
	for _, run := range n.runs {
		if run.State.Done() {
			st.Last = &run
		} else {
			st.Run = &run
		}
	}
	return st, nil
}

func (n *notebook) History(_ context.Context, q cloudsync.Query) iter.Seq2[cloudsync.Run, error] {
	return func(yield func(cloudsync.Run, error) bool) {
		n.ask()
		n.mu.Lock()
		runs := slices.Clone(n.runs)
		n.mu.Unlock()
		for _, run := range slices.Backward(runs) {
			if q.After != "" {
				if run.ID == q.After {
					q.After = ""
				}
				continue
			}
			if (!q.Live || !run.State.Done()) && !yield(run, nil) {
				return
			}
		}
	}
}

func (n *notebook) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	return asking(n.engine, n.store.Watch(ctx, after))
}
