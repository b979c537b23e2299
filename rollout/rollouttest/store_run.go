package rollouttest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func needsID(t *storeTest) {
	t.refused(func() {
		for _, w := range []rollout.Transition{of(aRun(""), about("")), {Service: &rollout.Service{ID: web}}, {}} {
			_, err := t.Create(t.Context(), w)
			require.ErrorIs(t, err, rollout.ErrInvalid, "there must be a run, with an ID")
		}
	})
}

func sameService(t *storeTest) {
	t.create(full("1"))
	w := rollout.Transition{Run: endOf(t.get("1")), Service: &rollout.Service{ID: rollout.ServiceID{Env: "prod", Name: "other"}, Token: 1}}
	t.refused(func() {
		_, err := t.Save(t.Context(), w)
		require.ErrorIs(t, err, rollout.ErrInvalid)
		w.Run.ID = "2"
		_, err = t.Create(t.Context(), w)
		require.ErrorIs(t, err, rollout.ErrInvalid)
	})
}

func createdOnce(t *storeTest) {
	first := *t.create(of(done("1"), about("1"))).Run
	again := func(r rollout.Run) {
		t.Helper()
		t.refused(func() {
			got, err := t.Create(t.Context(), of(r, about("1")))
			require.ErrorIs(t, err, rollout.ErrExists)
			require.Equal(t, rollout.Transition{Run: &first}, got, "the earlier run is returned")
		})
	}
	again(done("1"))
	elsewhere := done("1")
	elsewhere.Service.Name = "other"
	again(elsewhere)
	overtaken := done("1")
	overtaken.Token = -1
	again(overtaken)
	t.create(of(aRun("live")))
	again(aRun("1")) // though another one is live
	t.create(of(rollout.Run{ID: "1 ", Service: rollout.ServiceID{Name: "third"}}))
}

func repeatedRequest(t *storeTest) {
	asked := func(id, request string) rollout.Run {
		r := done(id)
		r.Request.By.RequestID = request
		return r
	}
	r := asked("1", "same")
	r.State = rollout.StateAccepted
	first := *t.create(of(r, about("1"))).Run
	again := func(id string) {
		t.Helper()
		t.refused(func() {
			got, err := t.Create(t.Context(), of(asked(id, "same"), about(id)))
			require.ErrorIs(t, err, rollout.ErrExists, "the service has a run with this RequestID")
			require.Equal(t, first, *got.Run, "the earlier run is returned")
		})
	}
	again("2")
	first = *t.save(of(*endOf(first))).Run
	again("3")
	for i, request := range []string{"other", "SAME", "same ", "", ""} {
		t.create(of(asked(string(rune('a'+i)), request)))
	}
	again("4")
	again("a") // whose ID another has
	require.Equal(t, []string{"1"}, t.list(rollout.Query{RequestID: "same"}))
	elsewhere := asked("5", "same")
	elsewhere.Service.Name = "other"
	t.create(of(elsewhere)) // another service has requests of its own
	require.Equal(t, []string{"5", "1"}, t.list(rollout.Query{RequestID: "same"}))
}

func oneLive(t *storeTest) {
	live := []rollout.State{
		rollout.StateAccepted, rollout.StateBuilding, rollout.StateProvisioning, rollout.StateHealthWait, rollout.StateShifting,
		rollout.StateAnalysing, rollout.StatePaused, rollout.StatePromoting, rollout.StateDraining, rollout.StateFinalising, rollout.StateRollingBack,
	}
	r := *t.create(of(aRun("1"))).Run
	for _, state := range live {
		r.State = state
		r = *t.save(of(r)).Run
		t.refused(func() {
			for _, other := range []rollout.Run{aRun("2"), done("2")} {
				_, err := t.Create(t.Context(), of(other, about("2")))
				require.ErrorIs(t, err, rollout.ErrBusy, "a run that is %s is live", state)
			}
		})
	}
	other := aRun("other")
	other.Service.Env = "test"
	t.create(of(other)) // services have a live run each
	for _, state := range []rollout.State{rollout.StateSucceeded, rollout.StateRolledBack, rollout.StateCancelled} {
		r.State = state
		t.save(of(r))
		id := "after " + string(state)
		r = *t.create(of(aRun(id))).Run
	}
	before := t.get("1")
	before.State = rollout.StateRollingBack
	t.refused(func() {
		_, err := t.Save(t.Context(), of(before, about("1")))
		require.ErrorIs(t, err, rollout.ErrBusy, "a second one cannot come to life")
	})
	before.State = rollout.StateRolledBack
	t.save(of(before)) // what is done may be saved
}

func engineTimes(t *storeTest) {
	at := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	w := full("1")
	w.Run.CreatedAt, w.Run.UpdatedAt, w.Run.EndedAt, w.Service.UpdatedAt = at, at, at, at
	first := t.create(w)
	require.True(t, first.Run.CreatedAt.After(at.AddDate(20, 0, 0)), "the engine sets CreatedAt")
	require.Equal(t, first.Run.CreatedAt, first.Run.UpdatedAt, "a new run was updated when it was created")
	require.Equal(t, first.Run.CreatedAt, first.Service.UpdatedAt, "the engine sets UpdatedAt")
	require.Equal(t, time.UTC, first.Run.CreatedAt.Location(), "times are UTC")
	require.Zero(t, first.Run.EndedAt, "a run that goes on has no end")
	t.stored(first)

	time.Sleep(20 * time.Millisecond)
	next := first.Clone()
	next.Run.CreatedAt, next.Run.UpdatedAt, next.Service.UpdatedAt, next.Events = at, at, at, nil
	next = t.save(next)
	require.Equal(t, first.Run.CreatedAt, next.Run.CreatedAt, "the time of creation never changes")
	require.GreaterOrEqual(t, next.Run.UpdatedAt.Sub(first.Run.UpdatedAt), 15*time.Millisecond, "the engine sets UpdatedAt")
	require.Equal(t, next.Run.UpdatedAt, next.Service.UpdatedAt, "run and service are saved at the same time")
	t.stored(next)
}

func ends(t *storeTest) {
	for _, state := range []rollout.State{rollout.StateSucceeded, rollout.StateRolledBack, rollout.StateCancelled} {
		r := *t.create(of(aRun(string(state)))).Run
		for _, live := range []rollout.State{rollout.StatePaused, rollout.StateRollingBack, rollout.StateFinalising} {
			r.State, r.EndedAt = live, r.CreatedAt
			r = *t.save(of(r)).Run
			require.Zero(t, r.EndedAt, "a run that is %s goes on", live)
		}
		r.State = state
		r = *t.save(of(r)).Run
		require.Equal(t, r.UpdatedAt, r.EndedAt, "a run that is %s ends with that save", state)
		end := r.EndedAt
		time.Sleep(5 * time.Millisecond)
		r.Reason, r.EndedAt = "looked at", time.Time{}
		r = *t.save(of(r)).Run
		require.Equal(t, end, r.EndedAt, "a later save does not move the end")
		require.Equal(t, r, t.get(string(state)), "Save returns what is stored")
	}
	atOnce := *t.create(of(done("at once"))).Run
	require.Equal(t, atOnce.CreatedAt, atOnce.EndedAt)
	require.Equal(t, atOnce, t.get("at once"))
}

func firstEvent(t *storeTest) {
	bare := *t.create(of(done("bare"), rollout.Event{Kind: rollout.EventService})).Run
	require.Zero(t, bare.Seq, "a run that was created without an event of it has no first one")
	bare = *t.save(of(bare, about("bare"))).Run
	require.Zero(t, bare.Seq, "it is told when it is created")

	run := aRun("run")
	run.Seq = 99
	r := *t.create(of(run, rollout.Event{Kind: rollout.EventService}, about("bare"), about("run"), about("run"))).Run
	first := t.events(r.Seq-1, 1)[0]
	require.Equal(t, r.Seq, first.Seq, "Watch before the first event begins with it")
	require.Equal(t, "run", first.Run, "the event is the run's")
	require.Equal(t, r.Seq, t.log()[4].Seq, "it is the first")
	seq := r.Seq
	r.Seq = 99
	r = *t.save(of(r, about("run"))).Run
	require.Equal(t, seq, r.Seq, "the first event of a run never changes")
	require.Equal(t, seq, t.get("run").Seq, "Save returns what is stored")
}

func keepsIdentity(t *storeTest) {
	first := *t.create(full("1")).Run
	r := first.Clone()
	r.Request = rollout.Request{Version: "9", By: rollout.By{Actor: "other", RequestID: "other"}}
	got := *t.save(of(r)).Run
	require.Equal(t, first.Request, got.Request, "the request never changes")
	require.Equal(t, got, t.get("1"), "Save returns what is stored")
	require.Empty(t, t.list(rollout.Query{RequestID: "other"}))
	require.Equal(t, []string{"1"}, t.list(rollout.Query{RequestID: "request of 1"}))
	moved := got.Clone()
	moved.Service.Name = "other"
	t.refused(func() {
		_, err := t.Save(t.Context(), of(moved))
		require.ErrorIs(t, err, rollout.ErrStale, "a run stays with its service")
	})
}

func unknown(t *storeTest) {
	t.create(full("run"))
	for _, id := range []string{"", "other", "Run", "run ", "ru", "%"} {
		_, err := t.Get(t.Context(), id)
		require.ErrorIs(t, err, rollout.ErrNotFound, "there is no run %q", id)
		_, err = t.Save(t.Context(), of(aRun(id)))
		require.ErrorIs(t, err, rollout.ErrNotFound, "there is no run %q", id)
	}
	for _, id := range []rollout.ServiceID{{}, {Name: "web"}, {Env: "prod"}, {Env: "web", Name: "prod"}, {Env: "prod", Name: "Web"}} {
		_, err := t.Service(t.Context(), id)
		require.ErrorIs(t, err, rollout.ErrNotFound, "there is no service %q", id)
	}
}
