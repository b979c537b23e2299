package rollouttest

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// storeCase is a promise of rollout.RunStore, in words, and its check.
type storeCase struct {
	Name string
	Run  func(*storeTest)
}

// storeCases are what any RunStore can be asked.
var storeCases = []storeCase{
	{"a new store has no runs and no services", newStore},
	{"a run and its service come back as they were saved", roundTrip},
	{"a save replaces what it has and nothing else", saveReplaces},
	{"what is empty is not what is not there", emptyIsNotNil},
	{"a save needs the stored revs", saveNeedsRevs},
	{"one of many saves of a rev wins", oneOfManySaves},
	{"a service is fenced by the greatest token that wrote", fenced},
	{"what is refused leaves nothing", refusedLeavesNothing},
	{"texts come back byte by byte", texts},
	{"numbers that are not finite come back", oddNumbers},
	{"services do not see each other", servicesApart},
	{"a context that has ended writes and reads nothing", endedContext},
	{"what a call returns is the caller's to change", resultsAreCopies},
	{"what a call was given is the caller's to change", argumentsAreCopied},

	{"a run needs an id", needsID},
	{"a service beside a run is the run's", sameService},
	{"a run is created once", createdOnce},
	{"a request begins one run of a service", repeatedRequest},
	{"a service has one live run", oneLive},
	{"runs and services have the engine's times", engineTimes},
	{"a run has an end exactly when it is done", ends},
	{"a run knows its first event", firstEvent},
	{"a save never changes what a run is", keepsIdentity},
	{"what is unknown is not found", unknown},

	{"history is newest first even within a millisecond", ofRuns(suitetest.List[rollout.Run].NewestFirst)},
	{"history selects by service, life, state and request", selects},
	{"history goes on after a run while new ones arrive", ofRuns(suitetest.List[rollout.Run].Pages)},
	{"history goes on after a run that is no longer selected", pagesAfterUnselected},
	{"history after an unknown run is not found", ofRuns(suitetest.List[rollout.Run].AfterUnknown)},
	{"history can be left and read again", ofRuns(suitetest.List[rollout.Run].Again)},
	{"history may be read slowly and written meanwhile", ofRuns(suitetest.List[rollout.Run].Slowly)},
	{"history yields the context's error last", ofRuns(suitetest.List[rollout.Run].ContextEnds)},
	{"services are listed by environment and name", servicesInOrder},
	{"services may be read slowly and written meanwhile", servicesSlowly},

	{"watch yields what was written in order", watchOrder},
	{"an event comes back as it was saved", eventTrip},
}

// cases returns the cases that the engine can be asked.
func (h StoreHarness) cases() []suitetest.Case {
	cases := slices.Clone(storeCases)
	if h.Again != nil {
		cases = append(cases, storeCase{"two handles see and overtake each other", twoHandles})
	}
	if h.Damage != nil {
		cases = append(cases,
			storeCase{"a run that cannot be read is named, and the others are listed", damagedRun},
			storeCase{"a service that cannot be read is named, and the others are listed", damagedService},
		)
	}
	if h.Newer != nil {
		cases = append(cases, storeCase{"what a newer library has written survives a save", newerSurvives})
	}
	return append(suitetest.On(h.start, cases), h.feed().Cases()...)
}

// storeTest is what a case of RunStore works with.
type storeTest struct {
	testing.TB
	rollout.RunStore // over fresh state
	again            func() rollout.RunStore
	damage           func(run string, service rollout.ServiceID)
	newer            func(run string, service rollout.ServiceID) (kept func())
	realTime         bool
	wrote            int // events
}

func (h StoreHarness) start(t testing.TB) *storeTest {
	s := h.Open(t)
	return &storeTest{
		TB: t, RunStore: s, realTime: h.RealTime,
		again:  func() rollout.RunStore { return h.Again(t, s) },
		damage: func(run string, service rollout.ServiceID) { h.Damage(t, s, run, service) },
		newer:  func(run string, service rollout.ServiceID) func() { return h.Newer(t, s, run, service) },
	}
}

// web is the service that most cases are about.
var web = rollout.ServiceID{Env: "prod", Name: "web"}

// aRun returns a run of web that can be created.
func aRun(id string) rollout.Run {
	return rollout.Run{ID: id, Service: web, State: rollout.StateAccepted}
}

// done returns a run of web that has ended.
func done(id string) rollout.Run {
	r := aRun(id)
	r.State = rollout.StateSucceeded
	return r
}

// about is an event of a run.
func about(run string) rollout.Event {
	return rollout.Event{Kind: rollout.EventStarted, Run: run, Service: web}
}

// of is a write of a run.
func of(r rollout.Run, events ...rollout.Event) rollout.Transition {
	return rollout.Transition{Run: &r, Events: events}
}

// ofService is a write of a service.
func ofService(s rollout.Service, events ...rollout.Event) rollout.Transition {
	return rollout.Transition{Service: &s, Events: events}
}

// full returns a write with something of its own in every field.
func full(id string) rollout.Transition {
	t := filltest.New[rollout.Transition]()
	t.Run.ID, t.Run.Service, t.Run.State, t.Run.Token = id, web, rollout.StateShifting, 1
	t.Run.Request.By.RequestID = "request of " + id
	t.Run.States[0].StartedAt = t.Run.States[0].StartedAt.Add(time.Nanosecond)
	t.Service.ID, t.Service.Rev, t.Service.Token = web, 0, 1
	t.Service.KeptUntil = t.Service.KeptUntil.Add(time.Nanosecond)
	t.Events = t.Events[:1]
	t.Events[0].Run = id
	return t
}

// create creates a run, which must be accepted.
func (t *storeTest) create(w rollout.Transition) rollout.Transition {
	t.Helper()
	saved, err := t.Create(t.Context(), w)
	require.NoError(t, err, "a new run must be accepted")
	t.wrote += len(w.Events)
	return saved
}

// save saves, which must be accepted.
func (t *storeTest) save(w rollout.Transition) rollout.Transition {
	t.Helper()
	saved, err := t.Save(t.Context(), w)
	require.NoError(t, err, "a save of the stored revs must be accepted")
	t.wrote += len(w.Events)
	return saved
}

// get returns a stored run.
func (t *storeTest) get(id string) rollout.Run {
	t.Helper()
	r, err := t.Get(t.Context(), id)
	require.NoError(t, err, "the run must be there")
	return r
}

// service returns a stored service.
func (t *storeTest) service(id rollout.ServiceID) rollout.Service {
	t.Helper()
	s, err := t.Service(t.Context(), id)
	require.NoError(t, err, "the service must be there")
	return s
}

// list returns what History yields, which must end without an error.
func (t *storeTest) list(q rollout.Query) (ids []string) {
	t.Helper()
	for r, err := range t.History(t.Context(), q) {
		require.NoError(t, err)
		ids = append(ids, r.ID)
	}
	return ids
}

// all returns the services, which must be readable.
func (t *storeTest) all(q rollout.ServiceQuery) (services []rollout.Service) {
	t.Helper()
	for s, err := range t.Services(t.Context(), q) {
		require.NoError(t, err)
		services = append(services, s)
	}
	return services
}

// events returns the first n events after a Seq, for which it waits.
func (t *storeTest) events(after int64, n int) []rollout.Event {
	t.Helper()
	return collect(t, t.RunStore, after, n)
}

func collect(t testing.TB, s rollout.RunStore, after int64, n int) []rollout.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[rollout.Event, error] { return s.Watch(ctx, after) })
}

// log returns all events so far, which must be those that the case wrote.
func (t *storeTest) log() []rollout.Event {
	t.Helper()
	return suitetest.Log(t, t.wrote, t.Watch, func(e rollout.Event) int64 { return e.Seq }, rollout.ErrCompacted)
}

// refused checks that a call changes nothing.
func (t *storeTest) refused(call func()) {
	t.Helper()
	runs := func() (runs []rollout.Run) {
		for r, err := range t.History(t.Context(), rollout.Query{}) {
			require.NoError(t, err)
			runs = append(runs, r)
		}
		return runs
	}
	before, services, events := runs(), t.all(rollout.ServiceQuery{}), t.log()
	call()
	require.Equal(t, before, runs(), "what is refused changes no run")
	require.Equal(t, services, t.all(rollout.ServiceQuery{}), "what is refused changes no service")
	require.Equal(t, events, t.log(), "what is refused leaves no event")
}

// asStored is what was given, with what the engine sets taken from what it
// returned.
func asStored(given, stored rollout.Transition) rollout.Transition {
	given = given.Clone()
	if r, s := given.Run, stored.Run; r != nil && s != nil {
		r.Rev, r.Seq, r.CreatedAt, r.UpdatedAt, r.EndedAt = s.Rev, s.Seq, s.CreatedAt, s.UpdatedAt, s.EndedAt
	}
	if v, s := given.Service, stored.Service; v != nil && s != nil {
		v.Rev, v.UpdatedAt = s.Rev, s.UpdatedAt
	}
	given.Events = nil
	return given
}
