package storagetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

var journalStore = store{
	domain: "update", table: "upkeep_update_run", key: "id",

	of:  func(b storage.Backend) any { return b.Journal() },
	run: runJournal,
	reopening: []backendCase{
		{"runs and events survive reopening", runsSurvive},
		{"programs of a fleet update one at a time", fleetTakesTurns},
	},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		_, err := b.Journal().Create(ctx, aRun(id), update.Event{Kind: update.EventStarted})
		return err
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		_, err := b.Journal().Get(ctx, id)
		if errors.Is(err, update.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		j := b.Journal()
		return []call{
			calling("Create", func() (update.Run, error) { return j.Create(ctx, aRun("another")) }),
			calling("Save", func() (update.Run, error) { return j.Save(ctx, aRun("work 1")) }),
			calling("Get", func() (update.Run, error) { return j.Get(ctx, "work 1") }),
			listing("History", j.History(ctx, update.Query{})),
			listing("Watch", j.Watch(ctx, 0)),
			listing("Watch", j.Watch(ctx, -1)),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		run, err := b.Journal().Create(t.Context(), aRun("kept"))
		require.NoError(t, err)
		_, err = b.Journal().Create(t.Context(), aRun("kept"))
		require.ErrorIs(t, err, update.ErrExists)
		run.Rev++
		_, err = b.Journal().Save(t.Context(), run)
		require.ErrorIs(t, err, update.ErrStale)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		run, err := b.Journal().Create(t.Context(), aRun(fmt.Sprint("work ", n)), update.Event{Kind: update.EventStarted})
		require.NoError(t, err)
		require.EqualValues(t, 2*n-1, run.Seq, "a run knows its first event")
		run.State = update.StateSucceeded
		_, err = b.Journal().Save(t.Context(), run, update.Event{Kind: update.EventStep, Step: "publish"})
		require.NoError(t, err)
		require.Len(t, all(t, b.Journal().History(t.Context(), update.Query{})), n)
	},
	events: 2,
	watch: func(ctx context.Context, b storage.Backend, after int64) iter.Seq2[int64, error] {
		return seqs(b.Journal().Watch(ctx, after), func(e update.Event) int64 { return e.Seq })
	},
}

func runJournal(t *testing.T, h Harness) {
	j, first := harnessOf(h, storage.Backend.Journal)
	u := updatetest.Harness{
		Open: j.Open, Again: j.Again, Retain: j.Retain, RealTime: j.RealTime,
		Locker: func(testing.TB, update.Journal) lease.Locker { return first().Locker() },
	}
	if h.Damage != nil {
		u.Damage = func(t testing.TB, _ update.Journal, run string) {
			h.Damage(t, first(), `UPDATE upkeep_update_run SET detail = '{"version":' WHERE id = ?`, []byte(run))
			h.Damage(t, first(), `UPDATE upkeep_update_event SET record = '' WHERE run = ?`, []byte(run))
		}
	}
	t.Run("Journal", func(t *testing.T) { updatetest.RunJournal(t, u) })
}

// aRun returns a run that can be created.
func aRun(id string) update.Run {
	return update.Run{
		ID: id, Package: "demo/site", Item: id, State: update.StateRunning, Token: 5,
		Steps: []update.StepRecord{{Name: "publish", Data: []byte(`{"a": 1}`)}},
	}
}

func runsSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	run, err := first.Journal().Create(t.Context(), aRun("1"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	run.State, run.Reason, run.Steps[0].Phase = update.StateFailed, "disk full", update.PhaseFailed
	run, err = first.Journal().Save(t.Context(), run, update.Event{Kind: update.EventStep, Step: "publish"})
	require.NoError(t, err)
	_, err = first.Journal().Create(t.Context(), aRun("2"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	events := firstEvents(t, first, 3)

	b := h.reopen(t, first)
	found, err := b.Journal().Get(t.Context(), "1")
	require.NoError(t, err, "runs survive reopening")
	require.Equal(t, run, found, "runs survive reopening")
	require.Equal(t, events, firstEvents(t, b, 3), "events survive reopening")
	var ids []string
	for r, err := range b.Journal().History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		ids = append(ids, r.ID)
	}
	require.Equal(t, []string{"2", "1"}, ids, "the order of runs survives reopening")

	late := aRun("3")
	late.Item, late.Token = "1", 4
	_, err = b.Journal().Create(t.Context(), late)
	require.ErrorIs(t, err, update.ErrStale, "the tokens that have written survive reopening")
	_, err = b.Journal().Create(t.Context(), aRun("3"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	require.Greater(t, firstEvents(t, b, 4)[3].Seq, events[2].Seq, "Seq rises through reopening")
}

// firstEvents returns the first n events, which must be there.
func firstEvents(t testing.TB, b storage.Backend, n int) []update.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[update.Event, error] { return b.Journal().Watch(ctx, 0) })
}

// Journal returns the Journal behind the fault.
func (f *Faulty) Journal() update.Journal { return faultyJournal{f} }

type faultyJournal struct{ *Faulty }

func (f faultyJournal) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	return through(f.Faulty, "Create", func() (update.Run, error) { return f.Backend.Journal().Create(ctx, r, events...) })
}

func (f faultyJournal) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	return through(f.Faulty, "Save", func() (update.Run, error) { return f.Backend.Journal().Save(ctx, r, events...) })
}

func (f faultyJournal) Get(ctx context.Context, id string) (update.Run, error) {
	return through(f.Faulty, "Get", func() (update.Run, error) { return f.Backend.Journal().Get(ctx, id) })
}

func (f faultyJournal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return list(f.Faulty, "History", f.Backend.Journal().History(ctx, q))
}

func (f faultyJournal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return list(f.Faulty, "Watch", f.Backend.Journal().Watch(ctx, after))
}
