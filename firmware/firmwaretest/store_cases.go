package firmwaretest

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// storeCase is a promise of firmware.DeviceStore, in words, and its check.
type storeCase struct {
	Name string
	Run  func(*storeTest)
}

// storeCases are what any DeviceStore can be asked.
var storeCases = []storeCase{
	{"a new device has the zero record", newDevice},
	{"a record comes back as it was saved", roundTrip},
	{"a save replaces the record", saveReplaces},
	{"a save needs the stored rev", saveNeedsRev},
	{"one of many saves of a rev wins", oneOfManySaves},
	{"a record cannot be saved with an overtaken token", saveOvertaken},
	{"a save that is refused leaves nothing", refusedLeavesNothing},
	{"texts come back byte by byte", texts},
	{"a large catalog comes back, whatever else was saved since", largeCatalog},
	{"a context that has ended writes and reads nothing", endedContext},
	{"what a call returns is the caller's to change", resultsAreCopies},
	{"what a call was given is the caller's to change", argumentsAreCopied},
	{"devices do not see each other", devicesApart},

	{"a run needs an id", needsID},
	{"a run has the engine's times", runTimes},
	{"a run has an end exactly when it is done", ends},
	{"a run knows its first event", firstEvent},
	{"a save never changes what a run was asked", keepsRequest},
	{"a request begins one run", repeatedRequest},
	{"a run keeps its place, whatever the record shows", keepsPlace},
	{"an unknown run is not found", getUnknown},

	{"history is newest first even within a millisecond", ofRuns(suitetest.List[firmware.Run].NewestFirst)},
	{"history selects by life and request", selects},
	{"history goes on after a run while new ones arrive", ofRuns(suitetest.List[firmware.Run].Pages)},
	{"history goes on after a run that is no longer selected", pagesAfterUnselected},
	{"history after an unknown run is not found", pagesAfterUnknown},
	{"history can be left and read again", ofRuns(suitetest.List[firmware.Run].Again)},
	{"history may be read slowly and written meanwhile", ofRuns(suitetest.List[firmware.Run].Slowly)},
	{"history yields the context's error last", ofRuns(suitetest.List[firmware.Run].ContextEnds)},

	{"watch yields what was written in order", watchOrder},
	{"an event comes back as it was saved", eventTrip},
	{"events are numbered for each device, without a gap", eventNumbers},
}

// cases returns the cases that the engine can be asked.
func (h Harness) cases() []suitetest.Case {
	cases := slices.Clone(storeCases)
	if h.Again != nil {
		cases = append(cases,
			storeCase{"two handles see the same device", twoHandlesSee},
			storeCase{"two handles overtake each other", twoHandlesOvertake},
		)
	}
	if h.Damage != nil {
		cases = append(cases,
			storeCase{"a run that cannot be read is named, and the others are listed", damagedRun},
			storeCase{"a record that cannot be read is damaged", damagedRecord},
		)
	}
	return append(suitetest.On(h.start, cases), h.feed().Cases()...)
}

// device is the one that most cases are about.
const device = "serial 1"

// storeTest is what a case of RunStore works with.
type storeTest struct {
	testing.TB
	firmware.DeviceStore // of device, over fresh state
	store                firmware.Store
	again                func() firmware.DeviceStore
	damage               func(run string)
	realTime             bool
	wrote                int // events of device
}

func (h Harness) start(t testing.TB) *storeTest {
	s := h.Open(t)
	return &storeTest{
		TB: t, DeviceStore: s.Firmware(device), store: s, realTime: h.RealTime,
		again:  func() firmware.DeviceStore { return h.Again(t, s).Firmware(device) },
		damage: func(run string) { h.Damage(t, s, device, run) },
	}
}

// aRun returns a run that can be saved.
func aRun(id string) *firmware.Run {
	return &firmware.Run{ID: id, From: "1.0.0", Version: "1.1.0", State: firmware.StateRunning}
}

// about is an event of a run.
func about(run string) firmware.Event { return firmware.Event{Kind: firmware.EventStarted, Run: run} }

// full returns a record of a device that is new with something of its own in
// every field.
func full(id string) firmware.Record { return fresh(filltest.New[firmware.Record](), id) }

func fresh(r firmware.Record, id string) firmware.Record {
	r.Run.ID, r.Run.Request.By.RequestID = id, "r-"+id
	r.Run.Release.Time = r.Run.Release.Time.Add(time.Nanosecond)
	r.Catalog.Issued = r.Catalog.Issued.Add(time.Nanosecond)
	r.Rev, r.Token = 0, 1
	return r
}

// save saves a record, which must be accepted.
func (t *storeTest) save(r firmware.Record, events ...firmware.Event) firmware.Record {
	t.Helper()
	r, err := t.Save(t.Context(), r, events...)
	require.NoError(t, err, "a save of the stored rev must be accepted")
	t.wrote += len(events)
	return r
}

// begin saves a run in the record as it is stored.
func (t *storeTest) begin(run *firmware.Run, events ...firmware.Event) firmware.Record {
	t.Helper()
	r := t.load()
	r.Run = run
	return t.save(r, events...)
}

// load returns the stored record.
func (t *storeTest) load() firmware.Record {
	t.Helper()
	r, err := t.Load(t.Context())
	require.NoError(t, err)
	return r
}

// get returns a stored run.
func (t *storeTest) get(id string) firmware.Run {
	t.Helper()
	r, err := t.Get(t.Context(), id)
	require.NoError(t, err, "the run must be there")
	return r
}

// list returns what History yields, which must end without an error.
func (t *storeTest) list(q firmware.Query) (ids []string) {
	t.Helper()
	for r, err := range t.History(t.Context(), q) {
		require.NoError(t, err)
		ids = append(ids, r.ID)
	}
	return ids
}

// events returns the first n events after a Seq, for which it waits.
func (t *storeTest) events(after int64, n int) []firmware.Event {
	t.Helper()
	return collect(t, t.DeviceStore, after, n)
}

func collect(t testing.TB, d firmware.DeviceStore, after int64, n int) []firmware.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[firmware.Event, error] { return d.Watch(ctx, after) })
}

// log returns all events so far, which must be those that the case wrote.
func (t *storeTest) log() []firmware.Event {
	t.Helper()
	return suitetest.Log(t, t.wrote, t.Watch, func(e firmware.Event) int64 { return e.Seq }, firmware.ErrCompacted)
}

// refused checks that a call changes neither the record nor the history, and
// writes no event.
func (t *storeTest) refused(call func()) {
	t.Helper()
	record, runs, events := t.load(), t.list(firmware.Query{}), t.log()
	call()
	require.Equal(t, record, t.load(), "what is refused changes nothing")
	require.Equal(t, runs, t.list(firmware.Query{}), "what is refused leaves no run")
	require.Equal(t, events, t.log(), "what is refused leaves no event")
}

// asStored is a record that was given, with what the engine sets taken from
// what it returned.
func asStored(given, stored firmware.Record) firmware.Record {
	given = given.Clone()
	given.Rev = stored.Rev
	if given.Run != nil && stored.Run != nil {
		r, s := given.Run, stored.Run
		r.Seq, r.CreatedAt, r.UpdatedAt, r.EndedAt = s.Seq, s.CreatedAt, s.UpdatedAt, s.EndedAt
	}
	return given
}
