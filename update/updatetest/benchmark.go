package updatetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

// BenchmarkLocker measures an engine. Each iteration is the whole of a
// workload; the metrics say how fast its parts are.
func BenchmarkLocker(b *testing.B, h LockerHarness) {
	const pairs = 500
	pair := func(l update.Locker, item string) {
		for range pairs {
			lease, err := l.Acquire(b.Context(), item, "me", time.Hour)
			if err == nil {
				err = l.Release(b.Context(), lease)
			}
			if err != nil {
				b.Error(err)
			}
		}
	}
	b.Run("one item", func(b *testing.B) {
		l := h.Open(b)
		b.ReportAllocs()
		for b.Loop() {
			pair(l, "core")
		}
		rate(b, pairs, "pairs/s")
	})
	b.Run("32 items", func(b *testing.B) {
		l := h.Open(b)
		b.ReportAllocs()
		for b.Loop() {
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() { pair(l, fmt.Sprint(i)) })
			}
			wg.Wait()
		}
		rate(b, 32*pairs, "pairs/s")
	})
	b.Run("renewals", func(b *testing.B) {
		l := h.Open(b)
		lease, err := l.Acquire(b.Context(), "core", "me", time.Hour)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			for range pairs {
				_, err := l.Renew(b.Context(), lease, time.Hour)
				require.NoError(b, err)
			}
		}
		rate(b, pairs, "renewals/s")
	})
}

// BenchmarkJournal measures an engine. Each iteration is the whole of a
// workload; the metrics say how fast its parts are.
func BenchmarkJournal(b *testing.B, h JournalHarness) {
	b.Run("steps", func(b *testing.B) {
		const steps = 200
		j := h.Open(b)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			stepByStep(b, j, fmt.Sprint(n), steps)
		}
		rate(b, 2*steps, "saves/s")
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
		rate(b, runs, "runs/s")
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
		rate(b, events, "events/s")
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

func rate(b *testing.B, perLoop int, unit string) {
	b.ReportMetric(float64(b.N*perLoop)/b.Elapsed().Seconds(), unit)
}
