package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/fault"
)

// cutAfter makes every body of an image end after so many bytes.
func (s *shop) cutAfter(r firmware.Release, n int) func(string, int64, io.ReadCloser) io.ReadCloser {
	return func(name string, _ int64, body io.ReadCloser) io.ReadCloser {
		if name == s.rawOf(r) {
			return &short{body, n, io.ErrUnexpectedEOF}
		}
		return body
	}
}

// A medium that is full, or breaks, in the middle of a pull fails the run. What was
// not made durable is not counted, and the next run begins with what was.
func TestAMediumThatFailsInTheMiddleFailsTheRun(t *testing.T) {
	full := fmt.Errorf("%w: %w", firmware.ErrNoSpace, syscall.ENOSPC)
	for name, tt := range map[string]struct {
		want    error
		percent int
		faults  func(n *int) slot.Faults
	}{
		"it is full": {firmware.ErrNoSpace, 40, func(n *int) slot.Faults {
			return slot.Faults{Write: func(where string, _ int64, _ []byte) error {
				if where == slot.SlotB {
					if *n++; *n > 10 {
						return full
					}
				}
				return nil
			}}
		}},
		"it cannot be synced": {firmware.ErrFailed, 40, func(n *int) slot.Faults {
			return slot.Faults{Sync: func(where string) error {
				if where == slot.SlotB {
					if *n++; *n > 1 {
						return syscall.EIO
					}
				}
				return nil
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, d := t.Context(), newDevice(t)
				d.shop.add("1.3.0", noise(2, 20*segment))
				n := 0
				d.sim.Inject(tt.faults(&n))
				fw := d.start()
				run, err := fw.Update(ctx, firmware.Request{})
				require.ErrorIs(t, err, tt.want)
				require.ErrorIs(t, err, firmware.ErrFailed)
				assert.Equal(t, tt.percent, run.Percent, "of the durable bytes")
				pair, err := d.sim.Pair(ctx)
				require.NoError(t, err)
				assert.False(t, pair.Other.Whole)
				asked := n
				d.run(fw, time.Hour)
				assert.Equal(t, asked, n, "it is not tried again by itself")
				d.sim.Inject(slot.Faults{})
				_, err = fw.Update(ctx, firmware.Request{})
				require.ErrorIs(t, err, firmware.ErrRestarting)
			})
		})
	}
}

// shifting slots have another base image each time that it is read.
type shifting struct{ firmware.Slots }

func (s shifting) Base(ctx context.Context) (firmware.Image, error) {
	base, err := s.Slots.Base(ctx)
	return shiftingImage{base, new(atomic.Int32)}, err
}

type shiftingImage struct {
	firmware.Image
	reads *atomic.Int32
}

func (s shiftingImage) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.Image.ReadAt(p, off)
	if s.reads.Add(1) > 1 && n > 0 {
		p[n/2] ^= 1
	}
	return n, err
}

func TestABaseThatChangesUnderUsCostsThePatchAndNotTheImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := patched(t)
		want := bytes.Clone(d.sim.Image())
		for i := range want {
			want[i] ^= 3
		}
		d.config.Slots = shifting{d.sim}
		run := update(t, d)
		assert.Positive(t, run.Pulled[firmware.WayRaw])
		assert.Positive(t, run.Pulled[firmware.WayPatch])
		assert.True(t, bytes.Equal(want, d.sim.Image()))
	})
}

// fullStore has no room for a catalog.
type fullStore struct {
	firmware.DeviceStore
	full bool
}

func (s *fullStore) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	if s.full && r.Catalog.Number > 1 {
		return firmware.Record{}, fault.ErrFull
	}
	return s.DeviceStore.Save(ctx, r, events...)
}

func TestACatalogThatCannotBeKeptIsNoneThatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.2.5", noise(2, segment))
		store := &fullStore{DeviceStore: d.db.Firmware("4711")}
		d.config.DeviceStore = store
		fw := d.start()
		_, err := fw.Check(ctx)
		require.NoError(t, err)
		store.full = true
		d.shop.add("1.3.0", noise(3, segment))
		_, err = fw.Check(ctx)
		require.ErrorIs(t, err, fault.ErrFull)
		_, err = fw.Start(ctx, firmware.Request{Version: "1.3.0"})
		require.Error(t, err)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.EqualValues(t, 1, st.Catalog.Number)
		assert.Equal(t, "1.2.5", st.Newest.Version)
		store.full = false
		_, err = fw.Check(ctx)
		require.NoError(t, err)
	})
}

// doored slots count the files that are open.
type doored struct {
	firmware.Slots
	open, opened atomic.Int32
}

func (s *doored) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	f, err := s.Slots.Open(ctx, r)
	if err == nil {
		s.open.Add(1)
		s.opened.Add(1)
		f = &dooredFile{f, s}
	}
	return f, err
}

type dooredFile struct {
	firmware.File
	s *doored
}

func (f *dooredFile) Close() error {
	f.s.open.Add(-1)
	return f.File.Close()
}

func TestASlotIsClosedHoweverARunEnds(t *testing.T) {
	for name, spoil := range map[string]func(*device, firmware.Release){
		"well": func(*device, firmware.Release) {},
		"an object is gone": func(d *device, r firmware.Release) {
			d.shop.fail = func(name string, _ int64) error {
				if name == d.shop.rawOf(r) {
					return fs.ErrNotExist
				}
				return nil
			}
		},
		"a write fails": func(d *device, _ firmware.Release) {
			d.sim.Inject(slot.Faults{Write: func(where string, _ int64, _ []byte) error {
				if where == slot.SlotB {
					return syscall.EIO
				}
				return nil
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				r := d.shop.add("1.3.0", noise(2, 4*segment))
				slots := &doored{Slots: d.sim}
				d.config.Slots = slots
				spoil(d, r)
				_, err := d.start().Update(t.Context(), firmware.Request{})
				require.Error(t, err)
				assert.Positive(t, slots.opened.Load())
				assert.Zero(t, slots.open.Load())
			})
		})
	}
}

func TestABootLoaderThatDoesNotGoBackIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Interval = -1
		d.config.Health = func(context.Context) error { return errors.New("no picture") }
		d.shop.add("1.3.0", noise(2, 4*segment))
		run := update(t, d)
		d.sim.Inject(slot.Faults{Stuck: true})
		for range 4 {
			fw := d.start()
			d.run(fw, 6*time.Hour)
			require.NoError(t, fw.Close())
		}
		assert.Equal(t, 2, d.sim.Starts())
		fw := d.start()
		run, err := fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateFailed, run.State)
		assert.ErrorIs(t, run.Err(), firmware.ErrUnhealthy)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, firmware.DeviceFailed, st.State)
		assert.Contains(t, st.Info, "did not start the old image")
	})
}
