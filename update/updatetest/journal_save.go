package updatetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

func saveUnknown(t *journalTest) {
	stored := t.create(aRun("1"))
	unknown := stored
	unknown.ID = "2"
	t.refused(stored, func() {
		_, err := t.Save(t.Context(), unknown, update.Event{Kind: update.EventStep})
		require.ErrorIs(t, err, update.ErrNotFound, "there is no such run")
	})
	_, err := t.Get(t.Context(), "2")
	require.ErrorIs(t, err, update.ErrNotFound, "a refused Save creates nothing")
}

func saveNeedsRev(t *journalTest) {
	old := t.create(aRun("1"))
	old.Percent = 10
	stored := t.save(old)
	require.EqualValues(t, 2, stored.Rev, "a save gives the next rev")
	require.Equal(t, 10, stored.Percent)
	t.requireRun(stored, t.get("1"), "Save returns what is stored")
	for _, rev := range []int64{1, 3, 0, -1} {
		r := stored
		r.Rev, r.Percent = rev, 99
		t.refused(stored, func() {
			_, err := t.Save(t.Context(), r, update.Event{Kind: update.EventProgress})
			require.ErrorIs(t, err, update.ErrStale, "rev %d is not the stored one, 2", rev)
		})
	}
	require.EqualValues(t, 3, t.save(stored).Rev, "a save gives the next rev")
}

func oneOfManySaves(t *journalTest) {
	r := t.create(aRun("1"))
	for range 3 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			r := r.Clone()
			wg.Go(func() {
				r.Percent = i
				_, err := t.Save(t.Context(), r, update.Event{Kind: update.EventProgress, Message: fmt.Sprint(i)})
				if err == nil {
					won.Add(1)
				} else {
					assert.ErrorIs(t, err, update.ErrStale)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load(), "one of those who save the same rev wins")
		r = t.get("1")
	}
	events := t.log()
	require.Len(t, events, 4, "only a save that wins leaves an event")
	require.Equal(t, fmt.Sprint(r.Percent), events[3].Message, "run and event are of the same save")
}

func saveOvertaken(t *journalTest) {
	mine := t.create(on("mine", "core", 5))
	mine = t.save(mine) // an equal token is not overtaken
	t.create(on("another run", "core", 6))
	t.refused(mine, func() {
		_, err := t.Save(t.Context(), mine, update.Event{Kind: update.EventStep})
		require.ErrorIs(t, err, update.ErrStale, "a greater token has written to the item")
	})
	mine.Token = 8 // taken over under a new lease
	mine = t.save(mine)
	require.EqualValues(t, 8, mine.Token)
	_, err := t.Create(t.Context(), on("late", "core", 7))
	require.ErrorIs(t, err, update.ErrStale, "a save shows its token to the item")

	moved := mine
	moved.Item, moved.Token = "other", 1
	moved = t.save(moved) // items are fenced one by one
	require.Equal(t, "other", moved.Item)
}

func saveKeeps(t *journalTest) {
	first := t.create(fullRun("1"))
	r := first
	r.Package, r.CreatedAt = "demo/other", time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	r.Request = update.Request{Package: "demo/other", By: update.By{RequestID: "other"}}
	got := t.save(r, update.Event{Kind: update.EventProgress})
	require.Equal(t, first.Package, got.Package, "the package never changes")
	require.Equal(t, first.Request, got.Request, "the request never changes")
	require.Equal(t, first.CreatedAt, got.CreatedAt, "the time of creation never changes")
	t.requireRun(got, t.get("1"), "Save returns what is stored")
	require.Equal(t, first.Package, t.log()[1].Package, "an event has the run's package")
	require.Empty(t, t.list(update.Query{Package: "demo/other"}))
	require.Empty(t, t.list(update.Query{RequestID: "other"}))
}

func saveReplaces(t *journalTest) {
	first := t.create(aRun("1"))
	time.Sleep(20 * time.Millisecond)
	want := fullRun("1")
	want.Package, want.Request, want.Steps = first.Package, first.Request, first.Steps
	want.Item, want.Token, want.Rev = "other", 3, 1
	got := t.save(want)
	want.Rev, want.Seq, want.CreatedAt, want.UpdatedAt = 2, first.Seq, first.CreatedAt, got.UpdatedAt
	t.requireRun(want, got, "a save replaces the run")
	t.requireRun(want, t.get("1"), "a save replaces the run")
	require.GreaterOrEqual(t, got.UpdatedAt.Sub(first.UpdatedAt), 15*time.Millisecond, "the engine sets UpdatedAt")
	require.Equal(t, time.UTC, got.UpdatedAt.Location(), "times are UTC")

	bare := update.Run{ID: "1", Rev: 2, State: update.StateRunning}
	got = t.save(bare)
	bare.Package, bare.Request, bare.Steps = first.Package, first.Request, first.Steps
	bare.Rev, bare.Seq, bare.CreatedAt, bare.UpdatedAt = 3, first.Seq, first.CreatedAt, got.UpdatedAt
	t.requireRun(bare, t.get("1"), "a save replaces the run, by nothing too")
}

func saveSteps(t *journalTest) {
	r := aRun("1")
	r.Steps = []update.StepRecord{{Name: "c"}, {Name: "a"}, {Name: "b"}}
	stored := t.create(r)
	change := stored.Clone()
	for i := range change.Steps {
		s := &change.Steps[i]
		s.Phase, s.Attempt, s.Data, s.Error = update.PhaseDoing, 2, []byte(`"kept"`), "oops"
	}
	got := t.save(change)
	require.Equal(t, tidy(stored).Steps, tidy(t.get("1")).Steps, "without an event a step stays as it is")

	change.Rev = got.Rev
	t.save(change,
		update.Event{Kind: update.EventStep, Step: "a"}, update.Event{Kind: update.EventStep, Step: "unknown"},
		update.Event{Kind: update.EventLog, Step: "a"}, update.Event{Kind: update.EventProgress})
	want := tidy(stored).Steps
	want[1] = change.Steps[1]
	require.Equal(t, want, tidy(t.get("1")).Steps, "only the steps that events name change, in their place")
}

func undoneKeepsError(t *journalTest) {
	r := t.create(aRun("1"))
	for _, phase := range []update.Phase{update.PhaseFailed, update.PhaseUndoing, update.PhaseUndone} {
		r.Steps[1].Phase, r.Steps[1].Error = phase, "disk on fire"
		r = t.save(r, update.Event{Kind: update.EventStep, Step: r.Steps[1].Name, Phase: phase})
		require.Equal(t, "disk on fire", t.get("1").Steps[1].Error, "a step that is %s has its error", phase)
	}
}

func ends(t *journalTest) {
	done := []update.State{update.StateSucceeded, update.StateRolledBack, update.StateCancelled, update.StateFailed}
	for _, state := range done {
		r := t.create(aRun(string(state)))
		r.State, r.EndedAt = update.StateRollingBack, r.CreatedAt
		r = t.save(r)
		require.Zero(t, r.EndedAt, "a run that is rolling back goes on")
		r.State = state
		r = t.save(r)
		require.Equal(t, r.UpdatedAt, r.EndedAt, "a run that is %s ends with that save", state)
		require.Equal(t, time.UTC, r.EndedAt.Location(), "times are UTC")
		end := r.EndedAt

		time.Sleep(5 * time.Millisecond)
		r.Reason, r.EndedAt = "looked at", time.Time{}
		r = t.save(r)
		require.Equal(t, end, r.EndedAt, "a later save does not move the end")
		t.requireRun(r, t.get(r.ID), "Save returns what is stored")
	}
}

func manySteps(t *journalTest) {
	const steps, batch = 2000, 20
	r := aRun("1")
	r.Steps = make([]update.StepRecord, steps)
	for i := range r.Steps {
		r.Steps[i] = update.StepRecord{Name: fmt.Sprint("step ", i), Phase: update.PhaseTodo}
	}
	r = t.create(r)
	for i := 0; i < steps; i += batch {
		var events []update.Event
		for k := i; k < i+batch; k++ {
			r.Steps[k].Phase = update.PhaseDone
			events = append(events, update.Event{Kind: update.EventStep, Step: r.Steps[k].Name, Phase: update.PhaseDone})
		}
		r.Percent = 100 * (i + batch) / steps
		r = t.save(r, events...)
	}
	got := t.get("1")
	require.Len(t, got.Steps, steps)
	for i, s := range got.Steps {
		require.Equal(t, update.StepRecord{Name: fmt.Sprint("step ", i), Phase: update.PhaseDone}, tidy(update.Run{Steps: []update.StepRecord{s}}).Steps[0])
	}
	require.EqualValues(t, 1+steps/batch, got.Rev)
	require.Len(t, t.events(0, 1+steps), 1+steps)
}

func getUnknown(t *journalTest) {
	t.create(aRun("run"))
	for _, id := range []string{"", "other", "Run", "run ", "ru", "%"} {
		_, err := t.Get(t.Context(), id)
		require.ErrorIs(t, err, update.ErrNotFound, "there is no run %q", id)
	}
}

func endedContextOfRun(t *journalTest) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	stored := t.create(aRun("1"))
	t.refused(stored, func() {
		_, err := t.Create(ended, aRun("2"), update.Event{Kind: update.EventStarted})
		require.ErrorIs(t, err, context.Canceled)
		changed := stored.Clone()
		changed.Percent = 99
		_, err = t.Save(ended, changed, update.Event{Kind: update.EventProgress})
		require.ErrorIs(t, err, context.Canceled)
		_, err = t.Get(ended, "1")
		require.ErrorIs(t, err, context.Canceled)
	})
	_, err := t.Get(t.Context(), "2")
	require.ErrorIs(t, err, update.ErrNotFound, "a call whose context has ended creates nothing")
}

// scribble changes everything behind a run's slices and pointers.
func scribble(r update.Run) {
	for i := range r.Steps {
		clear(r.Steps[i].Data)
		r.Steps[i].Name = "scribbled"
	}
	clear(r.Release.Digest)
	clear(r.Release.Signature)
	*r.Cancel = update.By{Actor: "scribbled"}
}

func resultsAreCopies(t *journalTest) {
	created := t.create(fullRun("1"))
	want := created.Clone()
	scribble(created)
	t.requireRun(want, t.get("1"), "the result of Create is the caller's")
	scribble(t.get("1"))
	t.requireRun(want, t.get("1"), "the result of Get is the caller's")
	for r, err := range t.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		scribble(r)
	}
	t.requireRun(want, t.get("1"), "the results of History are the caller's")
	earlier, err := t.Create(t.Context(), fullRun("1"))
	require.ErrorIs(t, err, update.ErrExists)
	scribble(earlier)
	t.requireRun(want, t.get("1"), "the run of ErrExists is the caller's")
	saved := t.save(want.Clone(), update.Event{Step: "publish"})
	want = saved.Clone()
	scribble(saved)
	t.requireRun(want, t.get("1"), "the result of Save is the caller's")
}

func argumentsAreCopied(t *journalTest) {
	given := fullRun("1")
	events := []update.Event{{Kind: update.EventStarted, Message: "mine"}}
	created, err := t.Create(t.Context(), given, events...)
	require.NoError(t, err)
	scribble(given)
	events[0].Message = "scribbled"
	t.requireRun(created, t.get("1"), "what Create was given is the caller's")

	given = created.Clone()
	events = []update.Event{{Kind: update.EventStep, Step: "publish", Message: "mine"}}
	saved, err := t.Save(t.Context(), given, events...)
	require.NoError(t, err)
	saved = saved.Clone() // it may share memory with what was given
	scribble(given)
	events[0].Message = "scribbled"
	t.requireRun(saved, t.get("1"), "what Save was given is the caller's")
	for _, e := range t.events(0, 2) {
		require.Equal(t, "mine", e.Message, "the events it was given are the caller's")
	}
}
