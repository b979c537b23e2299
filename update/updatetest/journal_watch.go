package updatetest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update"
)

func watchOrder(t *journalTest) {
	r := aRun("1")
	events := []update.Event{{Kind: update.EventStarted, Actor: "ann"}, {Kind: update.EventLog, Message: "hello"}}
	r, err := t.Create(t.Context(), r, events...)
	require.NoError(t, err)
	r.State, r.Percent = update.StateRollingBack, 40
	more := []update.Event{
		{Kind: update.EventStep, Step: "publish", Phase: update.PhaseUndoing, Message: "step"},
		{
			Kind: update.EventCancel, Actor: "bob", Message: "late", // the rest is the engine's
			Seq: 1, Time: time.Unix(0, 0), Run: "x", Package: "x", State: "x", Percent: 99,
		},
	}
	saved := t.save(r, more...)

	got := t.events(0, 4)
	var seq int64
	for i, want := range append(events, more...) {
		run, e := r, got[i]
		require.Greater(t, e.Seq, seq, "Seq rises")
		require.Equal(t, time.UTC, e.Time.Location(), "times are UTC")
		want.State, want.Percent = update.StateRunning, 0
		if run = r; i >= len(events) {
			run, want.State, want.Percent = saved, update.StateRollingBack, 40
		}
		require.WithinDuration(t, run.UpdatedAt, e.Time, time.Second, "an event has the time of its write")
		want.Seq, want.Time, want.Run, want.Package = e.Seq, e.Time, r.ID, r.Package
		require.Equal(t, want, e, "an event comes as it was written, and with its run as it was after it")
		seq = e.Seq
	}
}

// feed has the promises of every Watch, for a Journal.
func (h Harness) feed() suitetest.Feed[update.Journal, update.Event] {
	return suitetest.Feed[update.Journal, update.Event]{
		Harness:   suitetest.Harness[update.Journal]{Open: h.Open, Again: h.Again, Retain: h.Retain, RealTime: h.RealTime},
		Watch:     update.Journal.Watch,
		Compacted: update.ErrCompacted,
		Writer:    writer,
		Told: func(t testing.TB, e update.Event) (int64, string, int) {
			n, err := strconv.Atoi(e.Message)
			require.NoError(t, err)
			return e.Seq, e.Run, n
		},
		Read: func(t testing.TB, j update.Journal, e update.Event) {
			r, err := j.Get(t.Context(), e.Run)
			require.NoError(t, err, "a watcher may read")
			require.Equal(t, e.Message, r.Reason, "what an event tells can be read")
		},
		Kept: func(t testing.TB, j update.Journal, _, kept []update.Event) {
			_, err := j.Get(t.Context(), kept[0].Run)
			require.NoError(t, err, "runs are kept")
		},
	}
}

// writer creates a run of its own with its first events, and saves it with
// later ones. Their numbers are their messages.
func writer(t testing.TB, j update.Journal, id string) func(first, n int) error {
	r := on(id, id, 1)
	return func(first, n int) (err error) {
		events := make([]update.Event, n)
		for i := range events {
			r.Reason = fmt.Sprint(first + i)
			events[i] = update.Event{Kind: update.EventLog, Message: r.Reason}
		}
		if first == 0 {
			r, err = j.Create(t.Context(), r, events...)
		} else {
			r, err = j.Save(t.Context(), r, events...)
		}
		return err
	}
}
