package firmwaretest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// asked returns a run that was asked for by a RequestID.
func asked(id, request string) *firmware.Run {
	r := aRun(id)
	r.Request.By.RequestID = request
	return r
}

func needsID(t *storeTest) {
	t.refused(func() {
		_, err := t.Save(t.Context(), firmware.Record{Run: aRun("")}, about(""))
		require.ErrorIs(t, err, firmware.ErrInvalid, "the ID of a run must be set")
	})
}

func runTimes(t *storeTest) {
	at := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	run := aRun("1")
	run.CreatedAt, run.UpdatedAt, run.EndedAt = at, at, at
	first := t.save(firmware.Record{Run: run})
	require.True(t, first.Run.CreatedAt.After(at.AddDate(20, 0, 0)), "the engine sets CreatedAt")
	require.Equal(t, first.Run.CreatedAt, first.Run.UpdatedAt, "a new run was updated when it was created")
	require.Equal(t, time.UTC, first.Run.CreatedAt.Location(), "times are UTC")
	require.Zero(t, first.Run.EndedAt, "a run that goes on has no end")
	require.Equal(t, *first.Run, t.get("1"))

	time.Sleep(20 * time.Millisecond)
	next := first.Clone()
	next.Run.CreatedAt, next.Run.UpdatedAt = at, at
	next = t.save(next)
	require.Equal(t, first.Run.CreatedAt, next.Run.CreatedAt, "the time of creation never changes")
	require.GreaterOrEqual(t, next.Run.UpdatedAt.Sub(first.Run.UpdatedAt), 15*time.Millisecond, "the engine sets UpdatedAt")
	require.Equal(t, *next.Run, t.get("1"))
	require.Equal(t, next, t.load())
}

func ends(t *storeTest) {
	for _, state := range []firmware.State{
		firmware.StateSucceeded, firmware.StateRolledBack, firmware.StateCancelled, firmware.StateFailed,
	} {
		r := t.begin(aRun(string(state)))
		for _, live := range []firmware.State{
			firmware.StateWaiting, firmware.StateRestarting, firmware.StateTrial, firmware.StateRollingBack, firmware.StateRunning,
		} {
			r.Run.State, r.Run.EndedAt = live, r.Run.CreatedAt
			r = t.save(r)
			require.Zero(t, r.Run.EndedAt, "a run that is %s goes on", live)
		}
		r.Run.State = state
		r = t.save(r)
		require.Equal(t, r.Run.UpdatedAt, r.Run.EndedAt, "a run that is %s ends with that save", state)
		require.Equal(t, time.UTC, r.Run.EndedAt.Location(), "times are UTC")
		end := r.Run.EndedAt

		time.Sleep(5 * time.Millisecond)
		r.Run.Reason, r.Run.EndedAt = "looked at", time.Time{}
		r = t.save(r)
		require.Equal(t, end, r.Run.EndedAt, "a later save does not move the end")
		require.Equal(t, *r.Run, t.get(string(state)), "Save returns what is stored")
	}
	done := aRun("done at once")
	done.State = firmware.StateFailed
	require.Equal(t, t.begin(done).Run.CreatedAt, t.get("done at once").EndedAt)
}

func firstEvent(t *storeTest) {
	bare := t.begin(aRun("bare"), firmware.Event{Kind: firmware.EventChecked})
	require.Zero(t, bare.Run.Seq, "a run whose first save has no event of it has no first one")
	bare = t.save(bare, about("bare"))
	require.Zero(t, bare.Run.Seq, "it is told by the first save")

	run := aRun("run")
	run.Seq = 99
	r := t.begin(run, firmware.Event{Kind: firmware.EventChecked}, about("bare"), about("run"), about("run"))
	first := t.events(r.Run.Seq-1, 1)[0]
	require.Equal(t, r.Run.Seq, first.Seq, "Watch before the first event begins with it")
	require.Equal(t, "run", first.Run, "the event is the run's")
	require.Equal(t, r.Run.Seq, t.log()[4].Seq, "it is the first")
	seq := r.Run.Seq
	r.Run.Seq = 99
	r = t.save(r, about("run"))
	require.Equal(t, seq, r.Run.Seq, "the first event of a run never changes")
	require.Equal(t, seq, t.get("run").Seq, "Save returns what is stored")
	require.Equal(t, seq, t.load().Run.Seq, "Save returns what is stored")
	for run, err := range t.History(t.Context(), firmware.Query{}) {
		require.NoError(t, err)
		require.Equal(t, t.get(run.ID), run, "History returns the run")
	}
}

func keepsRequest(t *storeTest) {
	first := t.save(full("1"))
	r := first.Clone()
	r.Run.Request = firmware.Request{Version: "9", By: firmware.By{Actor: "other", RequestID: "other"}}
	got := t.save(r)
	require.Equal(t, first.Run.Request, got.Run.Request, "the request never changes")
	require.Equal(t, *got.Run, t.get("1"), "Save returns what is stored")
	require.Equal(t, got, t.load(), "Save returns what is stored")
	require.Empty(t, t.list(firmware.Query{RequestID: "other"}))
	require.Equal(t, []string{"1"}, t.list(firmware.Query{RequestID: first.Run.Request.By.RequestID}))
}

func repeatedRequest(t *storeTest) {
	r := t.begin(asked("1", "same"), about("1"))
	again := func(id string) {
		t.refused(func() {
			next := t.load()
			next.Run = asked(id, "same")
			_, err := t.Save(t.Context(), next, about(id))
			require.ErrorIs(t, err, firmware.ErrExists, "the device has a run with this RequestID")
		})
	}
	again("2")
	r = t.save(r) // the run itself may be saved
	r.Run.State = firmware.StateSucceeded
	t.save(r)
	again("3")
	t.begin(asked("4", "other"))
	t.begin(asked("5", "SAME"))
	t.begin(asked("6", "same "))
	t.begin(aRun("7")) // no RequestID is not a repeated one
	t.begin(aRun("8"))
	again("9")
	require.Equal(t, []string{"1"}, t.list(firmware.Query{RequestID: "same"}))
	_, err := t.store.Firmware("other").Save(t.Context(), firmware.Record{Run: asked("1", "same")})
	require.NoError(t, err, "another device has requests of its own")
}

func keepsPlace(t *storeTest) {
	t.begin(aRun("1"))
	t.begin(aRun("2"))
	all := []string{"2", "1"}
	none := t.begin(nil, about("2"))
	require.Nil(t, none.Run)
	require.Equal(t, all, t.list(firmware.Query{}), "a record of no run leaves the runs alone")
	require.Zero(t, t.log()[0].State, "the event is about a run that the record is not of")
	first := t.get("1")
	first.Percent = 50
	r := t.begin(&first)
	require.Equal(t, all, t.list(firmware.Query{}), "a run keeps its place")
	require.Equal(t, 50, t.get("1").Percent)
	require.Zero(t, t.get("2").Percent, "other runs stay as they are")
	require.Equal(t, r, t.load())
}

func getUnknown(t *storeTest) {
	t.begin(aRun("run"))
	for _, id := range []string{"", "other", "Run", "run ", "ru", "%"} {
		_, err := t.Get(t.Context(), id)
		require.ErrorIs(t, err, firmware.ErrNotFound, "there is no run %q", id)
	}
}
