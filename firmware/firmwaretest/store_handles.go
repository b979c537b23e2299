package firmwaretest

import (
	"context"
	"errors"
	"iter"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func isStale(err error) bool { return errors.Is(err, firmware.ErrStale) }

func watchOf(s firmware.Store, ctx context.Context, after int64) iter.Seq2[firmware.Event, error] { //nolint:revive // a method expression
	return s.Firmware(device).Watch(ctx, after)
}

func twoHandlesSee(t *storeTest) {
	other := t.again()
	want := t.save(full("1"))
	loaded := func(d firmware.DeviceStore) firmware.Record {
		t.Helper()
		r, err := d.Load(t.Context())
		require.NoError(t, err)
		return r
	}
	require.Equal(t, want, loaded(other), "a record is the same for every handle")
	for range 3 { // of each other's catalogs too
		got := loaded(other)
		got.Run.Percent++
		got.Catalog.Number++
		got.Trust = append(got.Trust, 'x')
		got, err := other.Save(t.Context(), got)
		require.NoError(t, err)
		require.Equal(t, got, t.load(), "every handle sees the last save")
		require.Equal(t, *got.Run, t.get("1"))
		got.Floor++
		got = t.save(got)
		require.Equal(t, got, loaded(other), "every handle sees the last save")
		got.Catalog.Number++
		got = t.save(got)
		require.Equal(t, got, loaded(other), "every handle sees the last save")
	}
	next := loaded(other)
	next.Run = aRun("2")
	_, err := other.Save(t.Context(), next)
	require.NoError(t, err)
	t.begin(aRun("3"))
	require.Equal(t, []string{"3", "2", "1"}, t.list(firmware.Query{}), "the order is of all handles")
}

func twoHandlesOvertake(t *storeTest) {
	other := t.again()
	mine := t.save(firmware.Record{Run: asked("1", "same"), Token: 5})
	theirs, err := other.Load(t.Context())
	require.NoError(t, err)
	theirs.Token = 6
	theirs, err = other.Save(t.Context(), theirs)
	require.NoError(t, err)
	_, err = t.Save(t.Context(), mine)
	require.ErrorIs(t, err, firmware.ErrStale, "another handle has saved the rev")
	late := theirs.Clone()
	late.Token = 5
	_, err = t.Save(t.Context(), late)
	require.ErrorIs(t, err, firmware.ErrStale, "another handle has written with a greater token")
	theirs.Run = asked("2", "same")
	_, err = other.Save(t.Context(), theirs)
	require.ErrorIs(t, err, firmware.ErrExists, "every handle knows the request")
}

func damagedRun(t *storeTest) {
	for _, id := range []string{"first", "second", "third"} {
		t.begin(aRun(id), about(id))
	}
	t.damage("second")
	_, err := t.Get(t.Context(), "second")
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	require.ErrorContains(t, err, `"second"`)
	for _, id := range []string{"first", "third"} {
		t.get(id)
	}
	for _, q := range []firmware.Query{{}, {Live: true}} {
		var ids []string
		for run, err := range t.History(t.Context(), q) {
			if ids = append(ids, run.ID); run.ID != "second" {
				require.NoError(t, err, "%+v", q)
				continue
			}
			require.ErrorIs(t, err, firmware.ErrCorrupt, "%+v", q)
		}
		require.Equal(t, []string{"third", "second", "first"}, ids, "%+v", q)
	}
	events := t.log()
	for i, want := range []firmware.EventKind{firmware.EventStarted, firmware.EventCorrupt, firmware.EventStarted} {
		require.Equal(t, want, events[i].Kind, "the feed goes on")
	}
	require.Equal(t, firmware.Event{Seq: 2, Time: events[1].Time, Run: "second", Kind: firmware.EventCorrupt}, events[1])
	require.False(t, events[1].Time.IsZero())
	require.Equal(t, "third", t.load().Run.ID, "the record is of another run")

	t.damage("third")
	_, err = t.Load(t.Context())
	require.ErrorIs(t, err, firmware.ErrCorrupt, "the record is not whole without its run")
	require.ErrorContains(t, err, `"third"`)
}

func damagedRecord(t *storeTest) {
	t.begin(aRun("1"), about("1"))
	other := t.store.Firmware("other")
	_, err := other.Save(t.Context(), firmware.Record{Floor: 7})
	require.NoError(t, err)
	t.damage("")
	_, err = t.Load(t.Context())
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	require.Equal(t, "1", t.get("1").ID, "the runs are there")
	r, err := other.Load(t.Context())
	require.NoError(t, err, "other devices are there")
	require.EqualValues(t, 7, r.Floor)
}
