package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

func watchOrder(t *storeTest) {
	at := time.Unix(0, 0)
	given := []rollout.Event{
		{Kind: rollout.EventStarted, Run: "1", Service: web, State: rollout.StateAccepted, Actor: "ann"},
		{Kind: rollout.EventService, Message: "hello"},
		{Kind: rollout.EventState, Run: "1", Message: "late", Seq: 9, Time: at, State: rollout.StatePaused, Percent: 40}, // Seq and Time are the engine's
	}
	saved := t.create(of(aRun("1"), given[:2]...))
	saved = t.save(of(*saved.Run, given[2]))
	for i, e := range t.log() {
		require.EqualValues(t, i+1, e.Seq, "events are numbered without a gap")
		require.Equal(t, time.UTC, e.Time.Location(), "times are UTC")
		require.WithinDuration(t, saved.Run.UpdatedAt, e.Time, time.Second, "an event has the time of its write")
		given[i].Seq, given[i].Time = e.Seq, e.Time
		require.Equal(t, given[i], e, "an event comes as it was written")
	}
}

func eventTrip(t *storeTest) {
	given := filltest.New[rollout.Event]()
	t.save(rollout.Transition{Events: []rollout.Event{given}})
	stored := t.log()[0]
	require.Empty(t, filltest.Zeros(stored), "no field is forgotten")
	given.Seq, given.Time = 1, stored.Time
	require.Equal(t, given, stored)
}

// feed has the promises of every Watch.
func (h StoreHarness) feed() suitetest.Feed[rollout.RunStore, rollout.Event] {
	return suitetest.Feed[rollout.RunStore, rollout.Event]{
		Harness:   suitetest.Harness[rollout.RunStore]{Open: h.Open, Again: h.Again, Retain: h.Retain, RealTime: h.RealTime},
		Watch:     rollout.RunStore.Watch,
		Compacted: rollout.ErrCompacted,
		Writer:    writer,
		Told: func(t testing.TB, e rollout.Event) (int64, string, int) {
			n, err := strconv.Atoi(e.Message)
			require.NoError(t, err)
			return e.Seq, e.Actor, n
		},
		Read: func(t testing.TB, s rollout.RunStore, e rollout.Event) {
			v, err := s.Service(t.Context(), rollout.ServiceID{Name: e.Actor})
			require.NoError(t, err, "a watcher may read")
			require.Equal(t, e.Message, v.Path, "what an event tells can be read")
		},
		Kept: func(t testing.TB, s rollout.RunStore, _, _ []rollout.Event) {
			_, err := s.Service(t.Context(), rollout.ServiceID{Name: "a"})
			require.NoError(t, err, "services are kept")
		},
	}
}

// writer saves events with a service of its own, beside other writers. Their
// numbers are their messages.
func writer(t testing.TB, s rollout.RunStore, id string) func(first, n int) error {
	return func(first, n int) error {
		events := make([]rollout.Event, n)
		for i := range events {
			events[i] = rollout.Event{Kind: rollout.EventLog, Actor: id, Message: fmt.Sprint(first + i)}
		}
		v, err := s.Service(t.Context(), rollout.ServiceID{Name: id})
		if err != nil && !errors.Is(err, rollout.ErrNotFound) {
			return err
		}
		v.ID, v.Path = rollout.ServiceID{Name: id}, fmt.Sprint(first+n-1)
		_, err = s.Save(t.Context(), rollout.Transition{Service: &v, Events: events})
		return err
	}
}

func twoHandles(t *storeTest) {
	other := t.again()
	saved := t.create(full("1"))
	saved.Events = nil
	theirs, err := other.Get(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, *saved.Run, theirs, "a run is the same for every handle")
	service, err := other.Service(t.Context(), web)
	require.NoError(t, err)
	require.Equal(t, *saved.Service, service, "a service is the same for every handle")
	service.Token = 6
	next, err := other.Save(t.Context(), rollout.Transition{Service: &service})
	require.NoError(t, err)
	require.Equal(t, *next.Service, t.service(web), "every handle sees the last save")
	for _, w := range []rollout.Transition{of(*saved.Run), ofService(*saved.Service)} {
		_, err = t.Save(context.WithoutCancel(t.Context()), w)
		require.ErrorIs(t, err, rollout.ErrStale, "another handle has written, with a greater token")
	}
	run := aRun("2")
	run.Token = 6
	_, err = other.Create(t.Context(), of(run))
	require.ErrorIs(t, err, rollout.ErrBusy, "every handle knows the live run")
	run.Request.By.RequestID = "request of 1"
	_, err = other.Create(t.Context(), of(run))
	require.ErrorIs(t, err, rollout.ErrExists, "every handle knows the request")
	theirs.State, theirs.Token = rollout.StateCancelled, 6
	_, err = other.Save(t.Context(), of(theirs))
	require.NoError(t, err)
	run.Request.By.RequestID = ""
	t.create(of(run))
}

func damagedRun(t *storeTest) {
	for _, id := range []string{"first", "second", "third"} {
		t.create(of(done(id), about(id)))
	}
	t.damage("second", rollout.ServiceID{})
	_, err := t.Get(t.Context(), "second")
	require.ErrorIs(t, err, rollout.ErrCorrupt)
	require.ErrorContains(t, err, `"second"`)
	t.get("first")
	for _, q := range []rollout.Query{{}, {Service: web}, {State: rollout.StateSucceeded}} {
		var ids []string
		for run, err := range t.History(t.Context(), q) {
			require.Equal(t, web, run.Service)
			if ids = append(ids, run.ID); run.ID != "second" {
				require.NoError(t, err, "%+v", q)
				continue
			}
			require.ErrorIs(t, err, rollout.ErrCorrupt, "%+v", q)
		}
		require.Equal(t, []string{"third", "second", "first"}, ids, "%+v", q)
	}
	events := t.log()
	for i, want := range []rollout.EventKind{rollout.EventStarted, rollout.EventCorrupt, rollout.EventStarted} {
		require.Equal(t, want, events[i].Kind, "the feed goes on")
	}
	require.Equal(t, rollout.Event{Seq: 2, Time: events[1].Time, Run: "second", Kind: rollout.EventCorrupt}, events[1])
	require.False(t, events[1].Time.IsZero())
}

func damagedService(t *storeTest) {
	names := []rollout.ServiceID{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for _, id := range names {
		t.save(ofService(rollout.Service{ID: id}))
	}
	t.damage("", names[1])
	_, err := t.Service(t.Context(), names[1])
	require.ErrorIs(t, err, rollout.ErrCorrupt)
	require.ErrorContains(t, err, `"b"`)
	t.service(names[2])
	var all []rollout.Service
	for s, err := range t.Services(t.Context(), rollout.ServiceQuery{}) {
		if all = append(all, s); s.ID != names[1] {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, rollout.ErrCorrupt)
	}
	require.Equal(t, names, ids(all), "the list goes on")
}

func newerSurvives(t *storeTest) {
	saved := t.create(full("1"))
	kept := t.newer("1", web)
	require.Equal(t, *saved.Run, t.get("1"), "what is not known is not seen")
	require.Equal(t, *saved.Service, t.service(web), "what is not known is not seen")
	run, service := t.get("1"), t.service(web)
	run.Percent, run.Reason, run.Wish = 70, "", nil
	run.States = append(run.States, rollout.StateRecord{State: rollout.StatePaused})
	service.Generation++
	service.Split.Weights[0].Percent++
	service.Revisions = append([]rollout.Revision{{Replicas: 3}}, service.Revisions...)
	service.Revisions[1].Replicas = 7
	next := t.save(rollout.Transition{Run: &run, Service: &service})
	t.stored(next)
	kept()
	t.save(rollout.Transition{Service: next.Service})
	t.save(rollout.Transition{Run: next.Run})
	kept()
}
