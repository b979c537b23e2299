package firmware_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestARunWithoutEventsIsNotWaitedFor(t *testing.T) {
	d := newDevice(t)
	_, err := d.db.Firmware("4711").Save(t.Context(), firmware.Record{Run: &firmware.Run{ID: "old", State: firmware.StateSucceeded}})
	require.NoError(t, err)
	for _, err := range d.start().Follow(t.Context(), "old") {
		require.ErrorIs(t, err, firmware.ErrCompacted)
	}
}

// unreadOf is a store that cannot read the events of one kind.
type unreadOf struct {
	firmware.DeviceStore
	kind firmware.EventKind
}

func (u unreadOf) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return func(yield func(firmware.Event, error) bool) {
		for e, err := range u.DeviceStore.Watch(ctx, after) {
			if e.Kind == u.kind {
				e = firmware.Event{Kind: firmware.EventCorrupt, Seq: e.Seq, Time: e.Time, Run: e.Run}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestFollowPassesWhatCannotBeReadAndEndsWithTheEnd(t *testing.T) {
	for kind, last := range map[firmware.EventKind]firmware.EventKind{
		firmware.EventEnded: firmware.EventCorrupt, firmware.EventStarted: firmware.EventEnded, firmware.EventProgress: firmware.EventEnded,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, d := t.Context(), newDevice(t)
			d.shop.add("1.3.0", noise(2, 3*segment))
			d.config.Slots = lateSlots{d.sim}
			d.config.DeviceStore = unreadOf{d.db.Firmware("4711"), kind}
			fw := d.start()
			run, err := fw.Start(ctx, firmware.Request{})
			require.NoError(t, err)
			for range 2 { // while it goes on, and once it has ended
				within, cancel := context.WithTimeout(ctx, time.Hour)
				var got firmware.Event
				for e, err := range fw.Follow(within, run.ID) {
					require.NoError(t, err, kind)
					got = e
				}
				cancel()
				assert.Equal(t, last, got.Kind, kind)
			}
		})
	}
}

func TestFollowEndsWhenTheServiceCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 3*segment))
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		time.AfterFunc(time.Minute, func() { _ = fw.Close() })
		within, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		var last error
		for _, last = range fw.Follow(within, run.ID) {
		}
		require.ErrorIs(t, last, firmware.ErrClosed)

		fw = d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		require.NoError(t, fw.Close())
		for _, err := range fw.Follow(within, run.ID) {
			require.NoError(t, err, "a run that has ended is all there")
		}
	})
}
