package rollouttest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

func newStore(t *storeTest) {
	require.Empty(t, t.list(rollout.Query{}))
	require.Empty(t, t.all(rollout.ServiceQuery{}))
	require.Empty(t, t.log())
	t.create(of(aRun("1")))
	_, err := t.Service(t.Context(), web)
	require.ErrorIs(t, err, rollout.ErrNotFound, "a run makes no record of its service")
	require.Empty(t, t.all(rollout.ServiceQuery{}), "a run makes no record of its service")
}

// stored checks that all calls return what a write has returned.
func (t *storeTest) stored(want rollout.Transition) {
	t.Helper()
	if want.Run != nil {
		require.Equal(t, *want.Run, t.get(want.Run.ID), "Get returns the run")
		found := false
		for r, err := range t.History(t.Context(), rollout.Query{}) {
			require.NoError(t, err)
			if r.ID == want.Run.ID {
				found = true
				require.Equal(t, *want.Run, r, "History returns the run")
			}
		}
		require.True(t, found, "History has the run")
	}
	if want.Service != nil {
		require.Equal(t, *want.Service, t.service(want.Service.ID), "Service returns the service")
		require.Contains(t, t.all(rollout.ServiceQuery{}), *want.Service, "Services returns the service")
	}
}

func roundTrip(t *storeTest) {
	given := full("1")
	saved := t.create(given)
	saved.Events = nil
	require.Equal(t, asStored(given, saved), saved, "Create returns what it was given")
	require.EqualValues(t, 1, saved.Run.Rev)
	require.EqualValues(t, 1, saved.Service.Rev)
	t.stored(saved)
	require.Equal(t, []string{"EndedAt"}, filltest.Zeros(t.get("1")), "no field is forgotten")
	require.Empty(t, filltest.Zeros(t.service(web)), "no field is forgotten")
}

func saveReplaces(t *storeTest) {
	first := t.create(full("1"))
	other := filltest.New[[2]rollout.Transition]()[1] // other values
	other.Run.ID, other.Run.Service, other.Run.State, other.Run.Rev, other.Run.Token = "1", web, rollout.StateRolledBack, 1, 3
	other.Service.ID, other.Service.Rev, other.Service.Token = web, 1, 2
	other.Events = nil
	saved := t.save(other)
	other.Run.Request = first.Run.Request
	require.Equal(t, asStored(other, saved), asStored(saved, saved), "a save replaces run and service")
	require.EqualValues(t, 2, saved.Run.Rev)
	t.stored(saved)

	bare := rollout.Run{ID: "1", Service: web, Rev: 2, Token: 3}
	run := t.save(of(bare))
	bare.Request = first.Run.Request
	require.Equal(t, asStored(of(bare), run).Run, run.Run, "a save replaces by nothing too")
	t.stored(run)
	require.Nil(t, run.Service)
	require.Equal(t, *saved.Service, t.service(web), "the save of a run leaves its service alone")

	service := t.save(ofService(rollout.Service{ID: web, Rev: 2, Token: 3}))
	require.Equal(t, rollout.Service{ID: web, Rev: 3, Token: 3, UpdatedAt: service.Service.UpdatedAt}, t.service(web))
	require.Nil(t, service.Run)
	require.Equal(t, *run.Run, t.get("1"), "the save of a service leaves its runs alone")

	t.save(rollout.Transition{Events: []rollout.Event{{Kind: rollout.EventLog, Message: "alone"}}})
	require.Equal(t, "alone", t.log()[1].Message, "events may be all of it")
}

func emptyIsNotNil(t *storeTest) {
	r := aRun("1")
	zero, none, text := 0, 0.0, ""
	r.States = []rollout.StateRecord{{Measurements: []rollout.Measurement{{Values: map[string]float64{}}}}}
	r.Split = rollout.Split{Weights: []rollout.Weight{}, Rules: []rollout.Rule{}, Sticky: &rollout.Sticky{}}
	r.Spec = rollout.Spec{
		Command: []string{}, Archive: &rollout.Archive{Digest: []byte{}, Command: []string{}}, Image: &rollout.Image{},
		Package: &rollout.Package{}, Source: &rollout.Source{}, Addresses: []string{}, Environment: map[string]string{}, Port: &zero,
		Health: &rollout.Health{Headers: map[string]string{}}, CPU: &none, Memory: new(int64), Volumes: []rollout.Volume{},
		Logs: &text, Path: &text, MinReplicas: &zero, MaxReplicas: &zero, Scaling: []rollout.Scaling{}, Extra: map[string]string{},
	}
	r.Strategy.Steps = []rollout.Step{{Match: []rollout.Match{}}}
	r.Wish = &rollout.Wish{}
	r.Request = rollout.Request{Spec: r.Spec, Share: &zero, Strategy: &r.Strategy}
	v := rollout.Service{ID: web, Revisions: []rollout.Revision{{Spec: r.Spec}}, Split: r.Split}
	given := rollout.Transition{Run: &r, Service: &v}.Clone()
	saved := t.create(given)
	require.Equal(t, asStored(given, saved), asStored(saved, saved))
	t.stored(saved)
	saved.Service.Revisions = []rollout.Revision{}
	saved.Run.States, saved.Run.Progress, saved.Service.Untold = []rollout.StateRecord{}, []byte{}, []string{}
	t.stored(t.save(saved))
}

func saveNeedsRevs(t *storeTest) {
	stored := t.create(full("1"))
	stored.Events = []rollout.Event{about("1")}
	stored = t.save(stored)
	require.Equal(t, []int64{2, 2}, []int64{stored.Run.Rev, stored.Service.Rev}, "a save gives the next revs")
	for _, rev := range []int64{1, 3, 0, -1} {
		for _, change := range []func(*rollout.Transition){
			func(w *rollout.Transition) { w.Run.Rev = rev },
			func(w *rollout.Transition) { w.Service.Rev = rev },
			func(w *rollout.Transition) { w.Run.Rev, w.Service = rev, nil },
			func(w *rollout.Transition) { w.Service.Rev, w.Run = rev, nil },
		} {
			w := stored.Clone()
			change(&w)
			w.Events = []rollout.Event{about("1")}
			t.refused(func() {
				_, err := t.Save(t.Context(), w)
				require.ErrorIs(t, err, rollout.ErrStale, "rev %d is not the stored one, 2", rev)
			})
		}
	}
	stored.Events = nil
	require.EqualValues(t, 3, t.save(stored).Run.Rev)
	for _, rev := range []int64{1, -1} {
		_, err := t.Save(t.Context(), ofService(rollout.Service{ID: rollout.ServiceID{Name: "new"}, Rev: rev}))
		require.ErrorIs(t, err, rollout.ErrStale, "a new service has rev 0")
	}
	second := done("2")
	late := rollout.Transition{Run: &second, Service: &rollout.Service{ID: web, Rev: 2, Token: 1}}
	late.Run.Token = 1
	ended := *t.save(rollout.Transition{Run: endOf(t.get("1"))}).Run
	require.Equal(t, rollout.StateCancelled, ended.State)
	t.refused(func() {
		_, err := t.Create(t.Context(), late)
		require.ErrorIs(t, err, rollout.ErrStale, "a new run needs the rev of its service")
	})
}

// endOf is a run that was cancelled.
func endOf(r rollout.Run) *rollout.Run {
	r.State = rollout.StateCancelled
	return &r
}

func oneOfManySaves(t *storeTest) {
	t.create(full("1"))
	for range 3 {
		run, service := t.get("1"), t.service(web)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			w := rollout.Transition{Run: &run, Service: &service}.Clone()
			wg.Go(func() {
				w.Run.Reason, w.Service.Path = fmt.Sprint(i), fmt.Sprint(i)
				w.Events = []rollout.Event{{Run: "1", Message: fmt.Sprint(i)}}
				if _, err := t.Save(t.Context(), w); err == nil {
					won.Add(1)
				} else {
					assert.ErrorIs(t, err, rollout.ErrStale)
				}
			})
		}
		wg.Wait()
		t.wrote++
		require.EqualValues(t, 1, won.Load(), "one of those who save the same rev wins")
		events := t.log()
		require.Equal(t, events[len(events)-1].Message, t.get("1").Reason, "run and event are of the same save")
		require.Equal(t, t.get("1").Reason, t.service(web).Path, "run and service are of the same save")
	}
}

func fenced(t *storeTest) {
	w := full("1")
	w.Run.Token, w.Service.Token = 5, 5
	saved := t.create(w)
	saved.Events = nil
	saved = t.save(saved) // an equal token is not overtaken
	saved.Run.Token = 9
	saved.Run = t.save(of(*saved.Run)).Run
	require.EqualValues(t, 9, saved.Run.Token)
	for _, change := range []func(*rollout.Transition){
		func(w *rollout.Transition) { w.Run.Token, w.Service = 8, nil },
		func(w *rollout.Transition) { w.Service.Token, w.Run = 8, nil },
		func(w *rollout.Transition) { w.Service.Token = 8 },
		func(w *rollout.Transition) { w.Run.Token, w.Service.Token = 8, 9 },
	} {
		late := saved.Clone()
		change(&late)
		late.Events = []rollout.Event{about("1")}
		t.refused(func() {
			_, err := t.Save(t.Context(), late)
			require.ErrorIs(t, err, rollout.ErrStale, "a greater token has written to the service")
		})
	}
	greater := saved.Clone()
	greater.Run.Token, greater.Run.Rev = 100, 1
	_, err := t.Save(t.Context(), of(*greater.Run))
	require.ErrorIs(t, err, rollout.ErrStale)
	saved.Service.Token = 10
	saved.Run, saved.Service = nil, t.save(ofService(*saved.Service)).Service // what was refused has taught no token
	require.EqualValues(t, 10, t.service(web).Token)
	_, err = t.Save(t.Context(), of(t.get("1")))
	require.ErrorIs(t, err, rollout.ErrStale, "the record of the service has a greater token")
	run := t.get("1")
	run.Token = 10
	t.save(of(*endOf(run)))

	next := done("2")
	next.Token = 9
	_, err = t.Create(t.Context(), of(next))
	require.ErrorIs(t, err, rollout.ErrStale, "a new run is fenced too")
	next.Token = 11
	t.create(of(next))
	_, err = t.Save(t.Context(), of(t.get("1")))
	require.ErrorIs(t, err, rollout.ErrStale, "a later run has a greater token")
	next.ID, next.Service.Name, next.Token = "3", "other", 1
	t.create(of(next)) // services are fenced one by one
}

func refusedLeavesNothing(t *storeTest) {
	w := full("1")
	w.Run.Token, w.Service.Token = 5, 5
	t.create(w)
	for _, c := range []struct {
		want   error
		change func(*rollout.Transition)
	}{
		{rollout.ErrBusy, func(*rollout.Transition) {}},
		{rollout.ErrExists, func(w *rollout.Transition) { w.Run.Request.By.RequestID = "request of 1" }},
		{rollout.ErrExists, func(w *rollout.Transition) { w.Run.ID = "1" }},
		{rollout.ErrInvalid, func(w *rollout.Transition) { w.Run.ID = "" }},
		{rollout.ErrInvalid, func(w *rollout.Transition) { w.Run = nil }},
		{rollout.ErrInvalid, func(w *rollout.Transition) { w.Service.ID.Name = "other" }},
	} {
		next := full("2")
		next.Run.Token, next.Service.Token, next.Service.Rev = 5, 5, 1
		c.change(&next)
		t.refused(func() {
			_, err := t.Create(t.Context(), next)
			require.ErrorIs(t, err, c.want)
		})
		_, err := t.Get(t.Context(), "2")
		require.ErrorIs(t, err, rollout.ErrNotFound, "what is refused leaves no run")
	}
	run := t.get("1")
	t.save(of(*endOf(run)))
	stale := full("2")
	stale.Run.Token = 4
	t.refused(func() {
		_, err := t.Create(t.Context(), stale)
		require.ErrorIs(t, err, rollout.ErrStale)
		_, err = t.Save(t.Context(), of(aRun("2"), about("2")))
		require.ErrorIs(t, err, rollout.ErrNotFound)
	})
	next := full("2")
	next.Service, next.Run.Token = nil, 5
	require.EqualValues(t, 2, t.create(next).Run.Seq, "what is refused takes no number")
}

func servicesApart(t *storeTest) {
	names := append(suitetest.Names(), "")
	ids := make([]rollout.ServiceID, 0, 2*len(names))
	for _, name := range names {
		ids = append(ids, rollout.ServiceID{Env: "e", Name: name}, rollout.ServiceID{Env: name, Name: "n"})
	}
	for i, id := range ids {
		r := rollout.Run{ID: fmt.Sprint(i), Service: id, Token: int64(len(ids) - i)}
		r.Request.By.RequestID = "the same of each"
		v := rollout.Service{ID: id, Generation: int64(i), Token: r.Token}
		t.create(rollout.Transition{Run: &r, Service: &v})
	}
	require.Len(t, t.all(rollout.ServiceQuery{}), len(ids), "each name is that of another service")
	for i, id := range ids {
		require.EqualValues(t, i, t.service(id).Generation, "%.40q", id)
		for _, q := range []rollout.Query{{Service: id}, {Service: id, Live: true}, {Service: id, RequestID: "the same of each"}} {
			require.Equal(t, []string{fmt.Sprint(i)}, t.list(q), "%.40q", id)
		}
	}
}
