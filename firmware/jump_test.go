package firmware_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// jumping is the store of a device whose wall clock jumps: what was written
// before is of long ago then, or yet to come, and what a process measures of its
// own goes on.
type jumping struct {
	firmware.DeviceStore
	years atomic.Int64
}

func (j *jumping) moved(r firmware.Record, years int64) firmware.Record {
	r = r.Clone()
	times := []*time.Time{&r.Check.Time}
	if r.Run != nil {
		times = append(times, &r.Run.CreatedAt, &r.Run.UpdatedAt, &r.Run.EndedAt)
	}
	for _, at := range times {
		if !at.IsZero() {
			*at = at.Add(time.Duration(years) * 365 * 24 * time.Hour)
		}
	}
	return r
}

// Load implements firmware.DeviceStore.
func (j *jumping) Load(ctx context.Context) (firmware.Record, error) {
	r, err := j.DeviceStore.Load(ctx)
	return j.moved(r, -j.years.Load()), err
}

// Save implements firmware.DeviceStore.
func (j *jumping) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	r, err := j.DeviceStore.Save(ctx, j.moved(r, j.years.Load()), events...)
	return j.moved(r, -j.years.Load()), err
}

// Get implements firmware.DeviceStore.
func (j *jumping) Get(ctx context.Context, id string) (firmware.Run, error) {
	run, err := j.DeviceStore.Get(ctx, id)
	return *j.moved(firmware.Record{Run: &run}, -j.years.Load()).Run, err
}

// History implements firmware.DeviceStore.
func (j *jumping) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	return func(yield func(firmware.Run, error) bool) {
		for run, err := range j.DeviceStore.History(ctx, q) {
			if !yield(*j.moved(firmware.Record{Run: &run}, -j.years.Load()).Run, err) {
				return
			}
		}
	}
}

// trialAcrossAJump brings a device to a trial of ten minutes, of which Run works
// on the first four, lets its clock jump, and lets a program that begins anew go
// on until the run has ended. It returns that run, and how long the trial took.
func trialAcrossAJump(t *testing.T, d *device, years int64) (run firmware.Run, took time.Duration) {
	ctx, j := t.Context(), &jumping{DeviceStore: d.db.Firmware("4711")}
	d.config.DeviceStore, d.config.Interval, d.config.ConfirmWithin = j, time.Hour, 10*time.Minute
	d.shop.add("1.3.0", noise(2, 4*segment))
	fw := d.start()
	_, err := fw.Update(ctx, firmware.Request{})
	require.ErrorIs(t, err, firmware.ErrRestarting)
	require.NoError(t, fw.Close())
	began, asked := time.Now(), d.shop.count(firmware.CatalogName)
	for _, jump := range []int64{0, years} { // one within a process, one between two
		fw = d.start()
		time.AfterFunc(2*time.Minute, func() { j.years.Add(jump) })
		d.run(fw, 4*time.Minute)
		require.NoError(t, fw.Close())
	}
	fw = d.start()
	ended := time.Time{}
	for ended.IsZero() && time.Since(began) < time.Hour {
		d.run(fw, 10*time.Second)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		if st.Run == nil {
			run, ended = *st.Last, time.Now()
		}
		if d.sim.Starts() > 1 { // it went back
			require.NoError(t, fw.Close())
			fw = d.start()
		}
	}
	assert.LessOrEqual(t, d.shop.count(firmware.CatalogName), asked+2, "nor is the feed asked over and over")
	return run, ended.Sub(began)
}

func TestAClockThatJumpsWhileAnImageIsOnTrialDecidesNothing(t *testing.T) {
	for _, years := range []int64{0, 30, -30} {
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t)
			d.config.Health = func(context.Context) error { return errors.New("no picture") }
			run, took := trialAcrossAJump(t, d, years)
			assert.Equal(t, firmware.StateRolledBack, run.State, "%d years", years)
			assert.ErrorIs(t, run.Err(), firmware.ErrUnhealthy)
			assert.InDelta(t, 10, took.Minutes(), 1.5, "%d years", years)
		})
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t)
			began := time.Now()
			d.config.Health = func(context.Context) error {
				if time.Since(began) < 9*time.Minute {
					return errors.New("no picture yet")
				}
				return nil
			}
			run, took := trialAcrossAJump(t, d, years)
			assert.Equal(t, firmware.StateSucceeded, run.State, "%d years", years)
			assert.InDelta(t, 9, took.Minutes(), 0.5, "%d years", years)
		})
	}
}
