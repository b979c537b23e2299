package updatetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// journalCase is a promise of update.Journal, in words, and its check.
type journalCase struct {
	Name string
	Run  func(*journalTest)
}

// journalCases are what any Journal can be asked.
var journalCases = []journalCase{
	{"a new run has rev 1 and the engine's times", newRun},
	{"a run comes back as it was written", roundTrip},
	{"a run needs an id", needsID},
	{"a run knows its first event", firstEvent},
	{"a repeated id returns the earlier run", repeatedID},
	{"a repeated request returns the first run of the package", repeatedRequest},
	{"one of many creates a run for a request", oneOfManyRequests},
	{"a run cannot be created with an overtaken token", createOvertaken},
	{"what is refused teaches no token", refusedTeachesNothing},
	{"texts come back byte by byte", texts},
	{"items are compared byte by byte", itemBytes},
	{"large data comes back byte by byte", largeData},

	{"saving an unknown run is not found", saveUnknown},
	{"a save needs the stored rev", saveNeedsRev},
	{"one of many saves of a rev wins", oneOfManySaves},
	{"a run cannot be saved with an overtaken token", saveOvertaken},
	{"a save never changes id, package, request and creation", saveKeeps},
	{"a save replaces the rest of the run", saveReplaces},
	{"a save changes only the steps that an event names", saveSteps},
	{"a step that was undone keeps its error", undoneKeepsError},
	{"a run has an end exactly when it is done", ends},
	{"a run of 2,000 steps is saved step by step", manySteps},
	{"an unknown run is not found", getUnknown},
	{"a context that has ended writes and reads nothing", endedContextOfRun},
	{"what a call returns is the caller's to change", resultsAreCopies},
	{"what a call was given is the caller's to change", argumentsAreCopied},

	{"history is newest first even within a millisecond", ofRuns(suitetest.List[update.Run].NewestFirst)},
	{"history selects by package, life and request", selects},
	{"history goes on after a run while new ones arrive", ofRuns(suitetest.List[update.Run].Pages)},
	{"history goes on after a run that is no longer selected", pagesAfterUnselected},
	{"history after an unknown run is not found", ofRuns(suitetest.List[update.Run].AfterUnknown)},
	{"history can be left and read again", ofRuns(suitetest.List[update.Run].Again)},
	{"history may be read slowly and written meanwhile", ofRuns(suitetest.List[update.Run].Slowly)},
	{"history yields the context's error last", ofRuns(suitetest.List[update.Run].ContextEnds)},

	{"watch yields what was written in order", watchOrder},
}

// cases returns the cases that the engine can be asked.
func (h Harness) cases() []suitetest.Case {
	cases := slices.Clone(journalCases)
	if h.Again != nil {
		cases = append(cases,
			journalCase{"two handles see the same runs", twoHandlesRuns},
			journalCase{"two handles overtake each other", twoHandlesOvertake},
		)
	}
	if h.Locker != nil {
		cases = append(cases,
			journalCase{"a run that is done ends its lease", doneEndsLease},
			journalCase{"a run that goes on keeps its lease", liveKeepsLease},
			journalCase{"a run that is done ends no lease but its own", doneEndsNoOther},
		)
	}
	if h.Damage != nil {
		cases = append(cases, damagedCase)
	}
	return append(suitetest.On(h.start, cases), h.feed().Cases()...)
}

// journalTest is what a case of RunJournal works with.
type journalTest struct {
	testing.TB
	update.Journal // over fresh state
	again          func() update.Journal
	locker         func() lease.Locker
	damage         func(run string)
	realTime       bool
	marks          int // how many runs log has made
}

func (h Harness) start(t testing.TB) *journalTest {
	jt := &journalTest{TB: t, Journal: h.Open(t), realTime: h.RealTime}
	jt.damage = func(run string) { h.Damage(t, jt.Journal, run) }
	jt.again = func() update.Journal { return h.Again(t, jt.Journal) }
	jt.locker = func() lease.Locker { return h.Locker(t, jt.Journal) }
	return jt
}

// aRun returns a run that can be created.
func aRun(id string) update.Run {
	return update.Run{
		ID: id, Package: "demo/site", Item: "core", Version: "1.1.0", State: update.StateRunning, Token: 1,
		Steps:   []update.StepRecord{{Name: "backup", Phase: update.PhaseTodo}, {Name: "publish", Phase: update.PhaseTodo}},
		Request: update.Request{Package: "demo/site"},
	}
}

// fullRun returns a run with something in every field.
func fullRun(id string) update.Run {
	at := time.Date(2024, 2, 29, 23, 59, 59, 123_000_000, time.UTC)
	return update.Run{
		ID: id, Package: "demo/site", Item: "core", From: "1.0.0", Version: "1.1.0",
		Release: update.Release{
			Version: "1.1.0", Time: at, URL: "https://example.com/1.1.0?a=b&c=<d>",
			Digest: []byte{0, 1, 0xff}, Signature: []byte{0xfe, 0}, Size: 1 << 40,
		},
		State: update.StateRollingBack, Percent: 40,
		Steps: []update.StepRecord{
			{
				Name: "publish", Phase: update.PhaseUndoing, Attempt: 3, Data: []byte("{ \"b\": 1.50, \"a\": \"<&>\", \"a\": 2 }"),
				Error: "disk full", Weight: 1 << 30, Final: true, NoUndo: true, StartedAt: at, EndedAt: at.Add(time.Millisecond),
			},
			{Name: "backup", Phase: update.PhaseDone}, // not in the order of the alphabet, and without times
		},
		Reason: "publish: disk full", Undoes: "another run", Cancel: &update.By{Actor: "ann", Reason: "too slow", RequestID: "c-" + id},
		Owner: "host:1",
		Request: update.Request{
			Package: "demo/site", Version: "^1", AllowDowngrade: true, AllowPrerelease: true,
			By: update.By{Actor: "bob", Reason: "it is time", RequestID: "r-" + id},
		},
		Token: 1,
	}
}

// create records a run with an event and returns it.
func (t *journalTest) create(r update.Run) update.Run {
	t.Helper()
	r, err := t.Create(t.Context(), r, update.Event{Kind: update.EventStarted})
	require.NoError(t, err, "a new run must be accepted")
	return r
}

// save saves a run that must be accepted.
func (t *journalTest) save(r update.Run, events ...update.Event) update.Run {
	t.Helper()
	r, err := t.Save(t.Context(), r, events...)
	require.NoError(t, err, "a save of the stored rev must be accepted")
	return r
}

// get returns a stored run.
func (t *journalTest) get(id string) update.Run {
	t.Helper()
	r, err := t.Get(t.Context(), id)
	require.NoError(t, err, "the run must be there")
	return r
}

// list returns what History yields, which must end without an error.
func (t *journalTest) list(q update.Query) []string {
	t.Helper()
	var ids []string
	for r, err := range t.History(t.Context(), q) {
		require.NoError(t, err)
		ids = append(ids, r.ID)
	}
	return ids
}

// events returns the first n events after a Seq, for which it waits.
func (t *journalTest) events(after int64, n int) []update.Event {
	t.Helper()
	return collect(t, t.Journal, after, n)
}

func collect(t testing.TB, j update.Journal, after int64, n int) []update.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[update.Event, error] { return j.Watch(ctx, after) })
}

// log returns all events so far. It writes one to know where they end.
func (t *journalTest) log() []update.Event {
	t.Helper()
	t.marks++
	mark := update.Run{ID: fmt.Sprint("mark ", t.marks), Package: "mark", Item: "mark", State: update.StateSucceeded}
	_, err := t.Create(t.Context(), mark, update.Event{Kind: update.EventLog})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var events []update.Event
	for e, err := range t.Watch(ctx, 0) {
		require.NoError(t, err)
		if e.Run == mark.ID {
			break
		}
		if e.Package != "mark" {
			events = append(events, e)
		}
	}
	return events
}

// refused checks that a call writes nothing: neither the run nor an event.
func (t *journalTest) refused(stored update.Run, call func()) {
	t.Helper()
	before := t.log()
	call()
	t.requireRun(stored, t.get(stored.ID), "what is refused changes nothing")
	require.Equal(t, before, t.log(), "what is refused leaves no event")
}

// requireRun compares runs; nil and empty are the same.
func (t *journalTest) requireRun(want, got update.Run, why string) {
	t.Helper()
	require.Equal(t, tidy(want), tidy(got), why)
}

func tidy(r update.Run) update.Run {
	r = r.Clone()
	if len(r.Steps) == 0 {
		r.Steps = nil
	}
	blobs := []*[]byte{&r.Release.Digest, &r.Release.Signature}
	for i := range r.Steps {
		blobs = append(blobs, &r.Steps[i].Data)
	}
	for _, b := range blobs {
		if len(*b) == 0 {
			*b = nil
		}
	}
	return r
}
