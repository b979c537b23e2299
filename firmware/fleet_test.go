package firmware_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const fleet = 60

// offered tells which devices of a fleet are offered what a shop has.
func offered(t *testing.T, s *shop) (devices map[string]bool) {
	devices = map[string]bool{}
	for n := range fleet {
		d := newDevice(t)
		d.config.Device, d.config.Feed, d.config.Verifier = fmt.Sprint("device ", n), s, s
		fw := d.start()
		_, err := fw.Check(t.Context())
		require.NoError(t, err)
		st, err := fw.Status(t.Context())
		require.NoError(t, err)
		if !st.UpToDate {
			devices[d.config.Device] = true
		} else {
			_, err = fw.Start(t.Context(), firmware.Request{})
			require.ErrorIs(t, err, firmware.ErrUpToDate)
		}
		require.NoError(t, fw.Close())
	}
	return devices
}

func TestAShareOfTheDevicesIsOfferedAReleaseAndOnlyGrows(t *testing.T) {
	t.Parallel()
	s := newShop()
	s.add("1.3.0", noise(2, segment))
	require.Len(t, offered(t, s), fleet, "without a share it is for all")
	var before map[string]bool
	for _, share := range []int{10, 30, 60, 99, 100} {
		s.catalog.Releases[0].Cohort = share
		s.catalog.Number++
		now := offered(t, s)
		assert.InDelta(t, fleet*share/100, len(now), fleet/5, "%d percent", share)
		assert.Subset(t, now, before, "who is in stays in")
		before = now
	}
	require.Len(t, before, fleet)

	first, other := newShop(), newShop()
	for seed, s := range map[byte]*shop{2: first, 3: other} {
		s.add("1.3.0", noise(seed, segment), func(r *firmware.Release) { r.Cohort = 30 })
	}
	assert.NotEqual(t, offered(t, first), offered(t, other), "others are the first to get the next release")
}

func TestAVersionThatIsNamedIsForDevicesOutsideItsShareToo(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDevice(t)
	d.shop.add("1.3.0", noise(2, segment), func(r *firmware.Release) { r.Cohort = 1 })
	fw := d.start()
	_, err := fw.Start(ctx, firmware.Request{})
	require.ErrorIs(t, err, firmware.ErrUpToDate, "it is not among them")
	_, err = fw.Update(ctx, firmware.Request{Version: "1.3.0"})
	require.ErrorIs(t, err, firmware.ErrRestarting)
}

func TestADeviceAsksItsFeedAsSoonAsItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.run(d.start(), time.Second)
		assert.Equal(t, 1, d.shop.count(firmware.CatalogName))
	})
}

func TestACheckThatIsYetToComeIsOfAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		_, err := d.db.Firmware("4711").Save(ctx, firmware.Record{Check: firmware.Check{Time: time.Now().AddDate(20, 0, 0)}})
		require.NoError(t, err)
		d.config.Interval = 24 * time.Hour
		fw := d.start()
		d.run(fw, time.Minute)
		assert.Equal(t, 1, d.shop.count(firmware.CatalogName), "it is checked at once, and then as always")
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), st.Check.Time, 2*time.Minute)
	})
}

// startedOften are slots whose image on trial has started so many times.
type startedOften struct {
	firmware.Slots
	times int
}

func (s startedOften) Pair(ctx context.Context) (firmware.Pair, error) {
	p, err := s.Slots.Pair(ctx)
	if !p.Confirmed {
		p.Running.Tries = s.times
	}
	return p, err
}

func TestAnImageThatHasStartedTooOftenIsNotAskedAnyMore(t *testing.T) {
	for times, want := range map[int]firmware.State{3: firmware.StateSucceeded, 4: firmware.StateRolledBack} {
		synctest.Test(t, func(t *testing.T) {
			ctx, d := t.Context(), newDevice(t)
			d.shop.add("1.3.0", noise(2, 3*segment))
			asked := 0
			d.config.Interval = -1
			d.config.Health = func(context.Context) error { asked++; return nil }
			d.config.Slots = startedOften{d.sim, times}
			run := update(t, d)
			began := time.Now()
			for range 2 {
				fw := d.start()
				d.run(fw, time.Minute)
				require.NoError(t, fw.Close())
			}
			got, err := d.db.Firmware("4711").Get(ctx, run.ID)
			require.NoError(t, err)
			assert.Equal(t, want, got.State, "%d starts", times)
			assert.Equal(t, want == firmware.StateSucceeded, asked > 0, "%d starts", times)
			assert.Less(t, got.EndedAt.Sub(began), time.Minute, "it is not given the time of a trial")
		})
	}
}

func TestTheVersionIsKnownBeforeAnybodyLooked(t *testing.T) {
	ctx, d := t.Context(), newDevice(t)
	d.config.DeviceStore = memory.New().Firmware("4711")
	d.config.Version = func(context.Context) (string, error) { return "1.2.0-factory", nil }
	st, err := d.start().Status(ctx)
	require.NoError(t, err)
	assert.Equal(t, "1.2.0-factory", st.Version)
	d.config.Version = func(context.Context) (string, error) { return "", errBroken }
	st, err = d.start().Status(ctx)
	require.NoError(t, err, "that is no reason to tell nothing")
	assert.Empty(t, st.Version)
}
