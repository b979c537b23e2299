package storagetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
)

// serial is the device that the cases write.
const serial = "serial 7"

var deviceStore = store{
	domain: "firmware", table: "upkeep_firmware_run", key: "id",

	of:        func(b storage.Backend) any { return b.Firmware(serial) },
	run:       runFirmware,
	reopening: []backendCase{{"devices survive reopening", devicesSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		return begin(ctx, b, id, firmware.Event{Kind: firmware.EventStarted, Run: id})
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		_, err := b.Firmware(serial).Get(ctx, id)
		if errors.Is(err, firmware.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		d := b.Firmware(serial)
		return []call{
			calling("Load", func() (firmware.Record, error) { return d.Load(ctx) }),
			calling("Save", func() (firmware.Record, error) { return d.Save(ctx, firmware.Record{}) }),
			calling("Get", func() (firmware.Run, error) { return d.Get(ctx, "work 1") }),
			listing("History", d.History(ctx, firmware.Query{})),
			listing("Watch", d.Watch(ctx, 0)),
			listing("Watch", d.Watch(ctx, -1)),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		require.NoError(t, begin(t.Context(), b, "kept"))
		d := b.Firmware(serial)
		r, err := d.Load(t.Context())
		require.NoError(t, err)
		r.Run = deviceRun("half")
		r.Run.Request.By.RequestID = "for kept"
		r.Catalog.Number++
		_, err = d.Save(t.Context(), r, firmware.Event{Run: "half"})
		require.ErrorIs(t, err, firmware.ErrExists)
		r.Rev++
		_, err = d.Save(t.Context(), r, firmware.Event{Run: "half"})
		require.ErrorIs(t, err, firmware.ErrStale)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		id := fmt.Sprint("work ", n)
		require.NoError(t, begin(t.Context(), b, id, firmware.Event{Kind: firmware.EventStarted, Run: id}))
		d := b.Firmware(serial)
		r, err := d.Load(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2*n-1, r.Run.Seq, "a run knows its first event")
		r.Run.State, r.Catalog.Number, r.Trust = firmware.StateSucceeded, int64(n), []byte(id)
		r, err = d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventEnded, Run: id})
		require.NoError(t, err)
		require.EqualValues(t, 2*n, r.Rev)
		require.Len(t, all(t, d.History(t.Context(), firmware.Query{})), n)
	},
	events: 2,
	watch: func(ctx context.Context, b storage.Backend, after int64) iter.Seq2[int64, error] {
		return seqs(b.Firmware(serial).Watch(ctx, after), func(e firmware.Event) int64 { return e.Seq })
	},
}

func runFirmware(t *testing.T, h Harness) {
	s, first := harnessOf(h, func(b storage.Backend) firmware.Store { return b })
	u := firmwaretest.Harness{Open: s.Open, Again: s.Again, Retain: s.Retain, RealTime: s.RealTime}
	if h.Damage != nil {
		u.Damage = func(t testing.TB, _ firmware.Store, device, run string) {
			if run == "" {
				h.Damage(t, first(), `UPDATE upkeep_firmware_device SET detail = '{"state":' WHERE device = ?`, []byte(device))
				return
			}
			h.Damage(t, first(), `UPDATE upkeep_firmware_run SET detail = '{"from":' WHERE device = ? AND id = ?`, []byte(device), []byte(run))
			h.Damage(t, first(), `UPDATE upkeep_firmware_event SET record = '' WHERE device = ? AND run = ?`, []byte(device), []byte(run))
		}
	}
	t.Run("Firmware", func(t *testing.T) { firmwaretest.RunStore(t, u) })
}

// deviceRun returns a run that can be saved.
func deviceRun(id string) *firmware.Run {
	r := &firmware.Run{ID: id, Version: "1.1.0", State: firmware.StateRunning}
	r.Request.By.RequestID = "for " + id
	return r
}

// begin saves a run in the record of the device, after others that do so too.
func begin(ctx context.Context, b storage.Backend, id string, events ...firmware.Event) error {
	d := b.Firmware(serial)
	for {
		r, err := d.Load(ctx)
		if err != nil {
			return err
		}
		r.Run = deviceRun(id)
		if _, err = d.Save(ctx, r, events...); !errors.Is(err, firmware.ErrStale) {
			return err
		}
	}
}

func devicesSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	d := first.Firmware(serial)
	r := firmware.Record{
		Run: deviceRun("1"), Floor: 3, Trust: []byte("keys"), Token: 5,
		Catalog: firmware.Catalog{Number: 7, Releases: []firmware.Release{{Version: "1.1.0"}}},
	}
	r, err := d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventStarted, Run: "1"})
	require.NoError(t, err)
	r.Run = deviceRun("2")
	r, err = d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventStarted, Run: "2"})
	require.NoError(t, err)
	events := deviceEvents(t, first, 2)

	b := h.reopen(t, first)
	d = b.Firmware(serial)
	found, err := d.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, r, found, "records survive reopening")
	require.Equal(t, events, deviceEvents(t, b, 2), "events survive reopening")
	var ids []string
	for _, run := range all(t, d.History(t.Context(), firmware.Query{})) {
		ids = append(ids, run.ID)
	}
	require.Equal(t, []string{"2", "1"}, ids, "the order of runs survives reopening")
	late := r.Clone()
	late.Token = 4
	_, err = d.Save(t.Context(), late)
	require.ErrorIs(t, err, firmware.ErrStale, "the token that has written survives reopening")
	_, err = d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventLog})
	require.NoError(t, err)
	require.EqualValues(t, 3, deviceEvents(t, b, 3)[2].Seq, "Seq goes on through reopening")
}

// deviceEvents returns the first n events, which must be there.
func deviceEvents(t testing.TB, b storage.Backend, n int) []firmware.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[firmware.Event, error] {
		return b.Firmware(serial).Watch(ctx, 0)
	})
}

// Firmware returns the DeviceStore of a device behind the fault.
func (f *Faulty) Firmware(device string) firmware.DeviceStore { return faultyDevice{f, device} }

type faultyDevice struct {
	*Faulty
	device string
}

func (f faultyDevice) behind() firmware.DeviceStore { return f.Backend.Firmware(f.device) }

func (f faultyDevice) Load(ctx context.Context) (firmware.Record, error) {
	return through(f.Faulty, "Load", func() (firmware.Record, error) { return f.behind().Load(ctx) })
}

func (f faultyDevice) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	return through(f.Faulty, "Save", func() (firmware.Record, error) { return f.behind().Save(ctx, r, events...) })
}

func (f faultyDevice) Get(ctx context.Context, id string) (firmware.Run, error) {
	return through(f.Faulty, "Get", func() (firmware.Run, error) { return f.behind().Get(ctx, id) })
}

func (f faultyDevice) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	return list(f.Faulty, "History", f.behind().History(ctx, q))
}

func (f faultyDevice) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return list(f.Faulty, "Watch", f.behind().Watch(ctx, after))
}
