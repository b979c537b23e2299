package updatetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update"
)

// BenchmarkJournal measures an engine. Each iteration is the whole of a
// workload; the metrics say how fast its parts are.
func BenchmarkJournal(b *testing.B, h Harness) {
	b.Run("steps", func(b *testing.B) {
		const steps = 200
		j := h.Open(b)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			stepByStep(b, j, fmt.Sprint(n), steps)
		}
		suitetest.Rate(b, 2*steps, "saves/s")
	})
	b.Run("history", func(b *testing.B) {
		const runs = 500
		j := h.Open(b)
		for i := range runs {
			_, err := j.Create(b.Context(), aRun(fmt.Sprint(i)))
			require.NoError(b, err)
		}
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range j.History(b.Context(), update.Query{}) {
				require.NoError(b, err)
				n++
			}
			require.Equal(b, runs, n)
		}
		suitetest.Rate(b, runs, "runs/s")
	})
	b.Run("watch", func(b *testing.B) {
		const events = 5000
		j := h.Open(b)
		_, err := j.Create(b.Context(), aRun("1"), make([]update.Event, events)...)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			collect(b, j, 0, events)
		}
		suitetest.Rate(b, events, "events/s")
	})
}

// stepByStep records a run whose steps begin and end one after the other.
func stepByStep(b *testing.B, j update.Journal, id string, steps int) {
	r := aRun(id)
	r.Steps = make([]update.StepRecord, steps)
	for i := range r.Steps {
		r.Steps[i].Name = fmt.Sprint("step ", i)
	}
	r, err := j.Create(b.Context(), r)
	for i := range r.Steps {
		for _, phase := range []update.Phase{update.PhaseDoing, update.PhaseDone} {
			require.NoError(b, err)
			r.Steps[i].Phase = phase
			r, err = j.Save(b.Context(), r, update.Event{Kind: update.EventStep, Step: r.Steps[i].Name, Phase: phase})
		}
	}
	require.NoError(b, err)
}
