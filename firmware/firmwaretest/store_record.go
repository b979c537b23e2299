package firmwaretest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

func newDevice(t *storeTest) {
	require.Zero(t, t.load(), "nothing was saved")
	require.Empty(t, t.list(firmware.Query{}), "a new device has no runs")
	require.Empty(t, t.log())
	require.Equal(t, firmware.Record{Rev: 1}, t.save(firmware.Record{}), "a record with nothing in it can be saved")
	require.Equal(t, firmware.Record{Rev: 1}, t.load())
}

func roundTrip(t *storeTest) {
	given := full("1")
	require.Equal(t, []string{"Rev"}, filltest.Zeros(given))
	saved := t.save(given, about("1"))
	want := asStored(given, saved)
	require.Equal(t, want, saved, "Save returns the record")
	require.Equal(t, want, t.load(), "Load returns the record")
	require.Equal(t, *want.Run, t.get("1"), "Get returns the run")
	for r, err := range t.History(t.Context(), firmware.Query{}) {
		require.NoError(t, err)
		require.Equal(t, *want.Run, r, "History returns the run")
	}
	require.Equal(t, []string{"Run.EndedAt"}, filltest.Zeros(t.load()), "no field is forgotten")
}

func saveReplaces(t *storeTest) {
	first := t.save(full("1"))
	other := fresh(filltest.New[[2]firmware.Record]()[1], "1") // other values
	other.Rev, other.Token, other.Run.State = first.Rev, 3, firmware.StateFailed
	saved := t.save(other)
	other.Run.Request = first.Run.Request
	require.Equal(t, asStored(other, saved), saved, "a save replaces the record")
	require.Equal(t, saved, t.load(), "a save replaces the record")
	require.Empty(t, filltest.Zeros(withSeq(saved)), "no field is forgotten")

	bare := firmware.Record{Run: &firmware.Run{ID: "1"}, Rev: saved.Rev, Token: 3}
	stored := t.save(bare)
	bare.Run.Request = first.Run.Request
	require.Equal(t, asStored(bare, stored), t.load(), "a save replaces the record, by nothing too")

	empty := stored.Clone()
	empty.Trust, empty.Progress, empty.RolledBack = []byte{}, []byte{}, [][32]byte{}
	empty.Catalog.Releases = []firmware.Release{{Hardware: []string{}, Meta: map[string]string{}}}
	empty.Run.Pulled, empty.Run.Cancel, empty.Run.Apply = map[firmware.Way]int64{}, &firmware.By{}, &firmware.By{}
	stored = t.save(empty)
	require.Equal(t, asStored(empty, stored), stored, "what is empty is not what is not there")
	require.Equal(t, stored, t.load(), "what is empty is not what is not there")

	none := t.save(firmware.Record{Rev: stored.Rev, Token: 3})
	require.Equal(t, firmware.Record{Rev: stored.Rev + 1, Token: 3}, none, "a record may be of no run")
	require.Equal(t, none, t.load())
}

// withSeq is a record whose run has had a first event.
func withSeq(r firmware.Record) firmware.Record {
	r = r.Clone()
	r.Run.Seq = 1
	return r
}

func saveNeedsRev(t *storeTest) {
	stored := t.save(firmware.Record{Run: aRun("1")}, about("1"))
	require.EqualValues(t, 1, stored.Rev, "the first save has rev 1")
	stored.Floor = 10
	stored = t.save(stored)
	require.EqualValues(t, 2, stored.Rev, "a save gives the next rev")
	for _, rev := range []int64{1, 3, 0, -1} {
		r := stored.Clone()
		r.Rev, r.Floor = rev, 99
		t.refused(func() {
			_, err := t.Save(t.Context(), r, about("1"))
			require.ErrorIs(t, err, firmware.ErrStale, "rev %d is not the stored one, 2", rev)
		})
	}
	require.EqualValues(t, 3, t.save(stored).Rev, "a save gives the next rev")

	other := t.store.Firmware("new")
	for _, rev := range []int64{1, -1} {
		_, err := other.Save(t.Context(), firmware.Record{Rev: rev})
		require.ErrorIs(t, err, firmware.ErrStale, "a new device has rev 0")
	}
}

func oneOfManySaves(t *storeTest) {
	for round := range 3 { // the first finds nothing stored
		r := t.load()
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			r := r.Clone()
			wg.Go(func() {
				r.Run, r.Floor = aRun(fmt.Sprint(round, "/", i)), int64(i)
				_, err := t.Save(t.Context(), r, firmware.Event{Kind: firmware.EventStarted, Run: r.Run.ID, Message: fmt.Sprint(i)})
				if err == nil {
					won.Add(1)
				} else {
					assert.ErrorIs(t, err, firmware.ErrStale)
				}
			})
		}
		wg.Wait()
		t.wrote++
		require.EqualValues(t, 1, won.Load(), "one of those who save the same rev wins")
		events := t.log()
		r = t.load()
		require.Equal(t, fmt.Sprint(r.Floor), events[round].Message, "record and event are of the same save")
		require.Equal(t, r.Run.ID, events[round].Run, "run and event are of the same save")
		require.Len(t, t.list(firmware.Query{}), round+1, "only the save that wins leaves a run")
	}
}

func saveOvertaken(t *storeTest) {
	r := t.save(firmware.Record{Token: 5})
	r = t.save(r) // an equal token is not overtaken
	r.Token = 9
	r = t.save(r)
	require.EqualValues(t, 9, r.Token)
	late := r
	late.Token = 8
	t.refused(func() {
		_, err := t.Save(t.Context(), late, firmware.Event{Kind: firmware.EventLog})
		require.ErrorIs(t, err, firmware.ErrStale, "a greater token has written")
	})
	greater := r
	greater.Token, greater.Rev = 100, 1
	_, err := t.Save(t.Context(), greater)
	require.ErrorIs(t, err, firmware.ErrStale)
	t.save(r) // what was refused has taught no token: 9 is still the greatest that has written

	_, err = t.store.Firmware("other").Save(t.Context(), firmware.Record{Token: 1})
	require.NoError(t, err, "devices are fenced one by one")
}

func refusedLeavesNothing(t *storeTest) {
	r := t.save(firmware.Record{Run: asked("1", "same"), Token: 5, Catalog: firmware.Catalog{Number: 1}}, about("1"))
	for _, c := range []struct {
		want   error
		change func(*firmware.Record)
	}{
		{firmware.ErrStale, func(r *firmware.Record) { r.Rev++ }},
		{firmware.ErrStale, func(r *firmware.Record) { r.Token-- }},
		{firmware.ErrExists, func(r *firmware.Record) { r.Run.Request.By.RequestID = "same" }},
		{firmware.ErrInvalid, func(r *firmware.Record) { r.Run.ID = "" }},
	} {
		next := r.Clone()
		next.Run, next.Floor, next.Catalog.Number = asked("2", "other"), 7, 2
		c.change(&next)
		t.refused(func() {
			_, err := t.Save(t.Context(), next, about("2"), firmware.Event{Kind: firmware.EventLog})
			require.ErrorIs(t, err, c.want)
		})
		_, err := t.Get(t.Context(), "2")
		require.ErrorIs(t, err, firmware.ErrNotFound, "what is refused leaves no run")
	}
	r.Run = asked("2", "other")
	require.EqualValues(t, 2, t.save(r, about("2")).Run.Seq, "what is refused takes no number")
}

// oddTexts are those that engines have been seen to change.
var oddTexts = []string{
	"nul \x00 inside", "\x00", `quotes " ' \ and <html> & %s ?1 $1`, "lines\r\n\t\u2028\u2029\x1b[0m\x7f",
	"核心更新 é e\u0301 \U0001f680 \ufeff \ufffd \ufdd0", strings.Repeat("long ", 20_000), " spaces ",
	"not \xff\xfe UTF-8 \xc3", "\xed\xa0\x80", "\U0010ff00 \U0010ffff",
}

// same compares what is too large to be shown.
func same(t *storeTest, want, got any, why string) {
	t.Helper()
	require.True(t, reflect.DeepEqual(want, got), why)
}

func texts(t *storeTest) {
	for i, text := range oddTexts {
		name := text[:min(len(text), 128)]
		by := firmware.By{Actor: name, Reason: text, RequestID: name}
		release := firmware.Release{
			Version: name, Hardware: []string{name}, MinFrom: name, Index: firmware.Object{Name: text}, Meta: map[string]string{name: text},
		}
		given := t.load()
		given.Device, given.Info, given.Progress, given.Trust = firmware.DeviceState(name), text, []byte(text), []byte(text)
		given.Running = firmware.Slot{Version: name, Run: name}
		given.Check = firmware.Check{Reason: text, Cause: name}
		given.Catalog = firmware.Catalog{Product: name, Releases: []firmware.Release{release}}
		given.Run = &firmware.Run{
			ID: name, From: name, Version: name, Release: release, State: firmware.State(name), Reason: text, Cause: name,
			Pulled:  map[firmware.Way]int64{firmware.Way(name): 1},
			Request: firmware.Request{Version: name, Plan: name, By: by}, Undoes: name, Cancel: &by, Apply: &by, Owner: name,
		}
		event := firmware.Event{Run: name, Kind: firmware.EventKind(name), Actor: name, Message: text}
		saved := t.save(given, event)
		same(t, asStored(given, saved), saved, "a text comes back byte by byte")
		same(t, saved, t.load(), "a text comes back byte by byte")
		same(t, *saved.Run, t.get(name), "an id is any text")
		require.Equal(t, []string{name}, t.list(firmware.Query{RequestID: name}), "a RequestID is any text")
		stored := t.events(0, i+1)[i]
		event.Seq, event.Time, event.State, event.Device = stored.Seq, stored.Time, firmware.State(name), firmware.DeviceState(name)
		same(t, event, stored, "a text comes back byte by byte")
	}
}

func largeCatalog(t *storeTest) {
	catalogOf := func(number int64) firmware.Catalog {
		c := firmware.Catalog{Product: "p", Number: number, Releases: make([]firmware.Release, 200)}
		for i := range c.Releases {
			c.Releases[i] = firmware.Release{
				Version: fmt.Sprint(number, ".", i), Meta: map[string]string{"notes": strings.Repeat(fmt.Sprint("text ", number), 1500)},
			}
		}
		return c // 2 MiB
	}
	r := firmware.Record{Run: aRun("1")}
	for number := range int64(3) {
		want, trust := catalogOf(number), fmt.Append(nil, "trust ", number)
		r.Catalog, r.Trust = want.Clone(), trust
		r = t.save(r)
		for percent := range 3 {
			r.Run.Percent = percent
			r = t.save(r)
			same(t, want, r.Catalog, "the catalog is the last that was saved")
		}
		same(t, want, t.load().Catalog, "the catalog is the last that was saved")
		same(t, trust, t.load().Trust, "so is the trust")
	}
	r.Catalog = firmware.Catalog{}
	r = t.save(r)
	require.Zero(t, t.load().Catalog)
	require.Equal(t, "trust 2", string(t.load().Trust))
	r.Catalog = catalogOf(1) // one that was there before
	t.save(r)
	same(t, catalogOf(1), t.load().Catalog, "the catalog is the last that was saved")
}

func endedContext(t *storeTest) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r := t.save(firmware.Record{Run: aRun("1")}, about("1"))
	t.refused(func() {
		r.Floor = 99
		_, err := t.Save(ended, r, about("1"))
		require.ErrorIs(t, err, context.Canceled)
		_, err = t.Load(ended)
		require.ErrorIs(t, err, context.Canceled)
		_, err = t.Get(ended, "1")
		require.ErrorIs(t, err, context.Canceled)
	})
}

// scribble changes everything behind a record's slices, maps and pointers.
func scribble(r firmware.Record) {
	if r.Run != nil {
		scribbleRun(*r.Run)
		r.Run.Version = "scribbled"
	}
	clear(r.Trust)
	clear(r.Progress)
	clear(r.RolledBack)
	for _, release := range r.Catalog.Releases {
		scribbleRelease(release)
	}
	clear(r.Catalog.Releases)
}

func scribbleRun(r firmware.Run) {
	clear(r.Pulled)
	*r.Cancel, *r.Apply = firmware.By{}, firmware.By{}
	scribbleRelease(r.Release)
}

func scribbleRelease(r firmware.Release) {
	clear(r.Hardware)
	clear(r.Meta)
}

func resultsAreCopies(t *storeTest) {
	want := t.save(full("1")).Clone()
	scribble(t.load())
	require.Equal(t, want, t.load(), "the result of Load is the caller's")
	scribbleRun(t.get("1"))
	require.Equal(t, *want.Run, t.get("1"), "the result of Get is the caller's")
	for r, err := range t.History(t.Context(), firmware.Query{}) {
		require.NoError(t, err)
		scribbleRun(r)
	}
	require.Equal(t, *want.Run, t.get("1"), "the results of History are the caller's")
	saved := t.save(want.Clone())
	want = saved.Clone()
	scribble(saved)
	require.Equal(t, want, t.load(), "the result of Save is the caller's")
	require.Equal(t, *want.Run, t.get("1"), "the result of Save is the caller's")
	t.save(want) // and so is what a save of the same finds
	require.Equal(t, want.Catalog, t.load().Catalog)
}

func argumentsAreCopied(t *storeTest) {
	given, events := full("1"), []firmware.Event{{Kind: firmware.EventStarted, Run: "1", Message: "mine"}}
	saved := t.save(given, events...)
	want := saved.Clone()
	require.Equal(t, fresh(filltest.New[firmware.Record](), "1"), given, "a save leaves alone what it was given")
	scribble(saved)
	require.Equal(t, fresh(filltest.New[firmware.Record](), "1"), given, "what Save returns shares nothing with what it was given")
	scribble(given)
	events[0].Message = "scribbled"
	require.Equal(t, want, t.load(), "what Save was given is the caller's")
	require.Equal(t, *want.Run, t.get("1"), "what Save was given is the caller's")
	require.Equal(t, "mine", t.log()[0].Message, "the events it was given are the caller's")
}

func devicesApart(t *storeTest) {
	names := append(suitetest.Names(), "")
	for i, name := range names {
		d := t.store.Firmware(name)
		run := asked("run", "request") // the same of each
		run.Version = name
		r := firmware.Record{Run: run, Floor: int64(i), Token: int64(1000 - i), Catalog: firmware.Catalog{Number: int64(i)}}
		_, err := d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventStarted, Run: "run", Message: name})
		require.NoError(t, err, "%.40q is another device than all before", name)
	}
	for i, name := range names {
		d := t.store.Firmware(name)
		r, err := d.Load(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, []int64{1, int64(i), int64(i)}, []int64{r.Rev, r.Floor, r.Catalog.Number}, "%.40q", name)
		run, err := d.Get(t.Context(), "run")
		require.NoError(t, err)
		require.Equal(t, []string{name, name}, []string{run.Version, r.Run.Version})
		for _, q := range []firmware.Query{{}, {Live: true}, {RequestID: "request"}} {
			n := 0
			for run, err := range d.History(t.Context(), q) {
				require.NoError(t, err)
				require.Equal(t, name, run.Version)
				n++
			}
			require.Equal(t, 1, n, "%.40q", name)
		}
		require.Equal(t, name, collect(t, d, 0, 1)[0].Message)
	}
	_, err := t.Get(t.Context(), "run")
	require.ErrorIs(t, err, firmware.ErrNotFound, "it is of others")
	require.Empty(t, t.log())
}
