package firmwaretest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

func watchOrder(t *storeTest) {
	run := aRun("1")
	run.Percent = 7
	events := []firmware.Event{
		{Kind: firmware.EventStarted, Run: "1", Actor: "ann"}, {Kind: firmware.EventChecked, Message: "hello"},
	}
	r := t.save(firmware.Record{Run: run, Device: firmware.DevicePulling}, events...)
	r.Run.State, r.Run.Percent, r.Device = firmware.StateWaiting, 40, firmware.DeviceIdle
	at := time.Unix(0, 0)
	more := []firmware.Event{
		{Kind: firmware.EventState, Run: "1", Message: "late", Seq: 1, Time: at, State: "x", Device: "x", Percent: 99}, // the engine's
		{Kind: firmware.EventCancel, Run: "another", State: "x", Percent: 99},
	}
	saved := t.save(r, more...)

	for i, want := range []firmware.Event{
		{State: firmware.StateRunning, Percent: 7, Device: firmware.DevicePulling},
		{Device: firmware.DevicePulling},
		{State: firmware.StateWaiting, Percent: 40, Device: firmware.DeviceIdle},
		{Device: firmware.DeviceIdle},
	} {
		e, given := t.log()[i], append(events, more...)[i]
		require.Equal(t, time.UTC, e.Time.Location(), "times are UTC")
		require.WithinDuration(t, saved.Run.UpdatedAt, e.Time, time.Second, "an event has the time of its write")
		want.Seq, want.Time = e.Seq, e.Time
		want.Kind, want.Run, want.Actor, want.Message = given.Kind, given.Run, given.Actor, given.Message
		require.Equal(t, want, e, "an event comes as it was written, with run and device as they were after it")
	}
}

func eventTrip(t *storeTest) {
	r := full("1")
	given := filltest.New[firmware.Event]()
	given.Run = "1"
	r = t.save(r, given)
	stored := t.log()[0]
	require.Empty(t, filltest.Zeros(stored), "no field is forgotten")
	given.Seq, given.Time, given.State, given.Percent, given.Device = 1, stored.Time, r.Run.State, r.Run.Percent, r.Device
	require.Equal(t, given, stored)
}

func eventNumbers(t *storeTest) {
	other := t.store.Firmware("other")
	var theirs firmware.Record
	var mine firmware.Record
	for range 5 {
		var err error
		theirs, err = other.Save(t.Context(), theirs, make([]firmware.Event, 3)...)
		require.NoError(t, err)
		mine = t.save(mine, make([]firmware.Event, 2)...)
	}
	for i, e := range t.log() {
		require.EqualValues(t, i+1, e.Seq, "the events of a device are numbered without a gap, whatever others write")
	}
	require.EqualValues(t, 15, collect(t, other, 0, 15)[14].Seq)
}

// feed has the promises of every Watch, for a device beside another.
func (h Harness) feed() suitetest.Feed[firmware.Store, firmware.Event] {
	return suitetest.Feed[firmware.Store, firmware.Event]{
		Harness: suitetest.Harness[firmware.Store]{
			Open: func(t testing.TB) firmware.Store { return beside(t, h.Open(t)) }, Again: h.Again, RealTime: h.RealTime,
			Retain: h.retain(),
		},
		Watch:     watchOf,
		Compacted: firmware.ErrCompacted,
		Writer:    writer,
		Told: func(t testing.TB, e firmware.Event) (int64, string, int) {
			n, err := strconv.Atoi(e.Message)
			require.NoError(t, err)
			return e.Seq, e.Actor, n
		},
		Read: func(t testing.TB, s firmware.Store, e firmware.Event) {
			r, err := s.Firmware(device).Load(t.Context())
			require.NoError(t, err, "a watcher may read")
			require.Equal(t, e.Message, r.Info, "what an event tells can be read")
		},
		Kept: func(t testing.TB, s firmware.Store, _, kept []firmware.Event) {
			_, err := s.Firmware(device).Get(t.Context(), "run of a")
			require.NoError(t, err, "runs are kept")
			require.Len(t, collect(t, s.Firmware("other"), 0, 3), 3, "the limit is that of each device")
		},
	}
}

func (h Harness) retain() func(testing.TB, int, time.Duration) firmware.Store {
	if h.Retain == nil {
		return nil
	}
	return func(t testing.TB, events int, age time.Duration) firmware.Store {
		return beside(t, h.Retain(t, events, age))
	}
}

// beside writes events of another device.
func beside(t testing.TB, s firmware.Store) firmware.Store {
	_, err := s.Firmware("other").Save(t.Context(), firmware.Record{}, make([]firmware.Event, 3)...)
	require.NoError(t, err)
	return s
}

// writer saves events with a run of its own, beside other writers. Their
// numbers are their messages.
func writer(t testing.TB, s firmware.Store, id string) func(first, n int) error {
	d := s.Firmware(device)
	return func(first, n int) error {
		events := make([]firmware.Event, n)
		for i := range events {
			events[i] = firmware.Event{Kind: firmware.EventLog, Actor: id, Message: fmt.Sprint(first + i)}
		}
		for range 10_000 {
			r, err := d.Load(t.Context())
			if err != nil {
				return err
			}
			r.Run, r.Info = aRun("run of "+id), fmt.Sprint(first+n-1)
			_, err = d.Save(t.Context(), r, events...)
			if !isStale(err) {
				return err
			}
		}
		return fmt.Errorf("%w at every try", firmware.ErrStale)
	}
}
