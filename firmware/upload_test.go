package firmware_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// uploaded is what became of an upload.
type uploaded struct {
	run firmware.Run
	err error
}

// stalled begins an upload of which no more than a part ever comes.
func (d *device) stalled(ctx context.Context, fw *firmware.Service, part float64) <-chan uploaded {
	image := noise(2, 4*segment+9)
	file := d.shop.bundle(packed(d.shop, d.shop.add("1.3.0", image)), image)
	in, out := io.Pipe()
	done := make(chan uploaded, 1)
	go func() { _, _ = out.Write(file[:int(part*float64(len(file)))]) }()
	go func() {
		run, err := fw.Upload(ctx, in, ann)
		done <- uploaded{run, err}
	}()
	synctest.Wait()
	return done
}

func TestAnUploadThatNobodyWantsAnyMoreEndsThoughItsReaderWaits(t *testing.T) {
	type end = func(*testing.T, *firmware.Service, context.CancelFunc)
	leaves := func(_ *testing.T, _ *firmware.Service, leave context.CancelFunc) { leave() }
	closes := func(t *testing.T, fw *firmware.Service, _ context.CancelFunc) { require.NoError(t, fw.Close()) }
	for _, tt := range []struct {
		name string
		part float64
		end  end
		is   error
		left firmware.State
	}{
		{"who brings it leaves, in its head", 0.001, leaves, context.Canceled, ""},
		{"who brings it leaves", 0.5, leaves, firmware.ErrCancelled, firmware.StateCancelled},
		{"the service closes, in its head", 0.001, closes, firmware.ErrClosed, ""},
		{"the service closes", 0.5, closes, firmware.ErrClosed, firmware.StateRunning},
		{"the run is cancelled", 0.5, func(t *testing.T, fw *firmware.Service, _ context.CancelFunc) {
			run, err := fw.Status(t.Context())
			require.NoError(t, err)
			require.NoError(t, fw.Cancel(t.Context(), run.Run.ID, ann))
		}, firmware.ErrCancelled, firmware.StateCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				fw, began := d.start(), time.Now()
				done := d.stalled(ctx, fw, tt.part)
				tt.end(t, fw, leave)
				is := <-done
				require.ErrorIs(t, is.err, tt.is)
				assert.Equal(t, tt.left, is.run.State)
				assert.Zero(t, time.Since(began), "it waits for nothing")
			})
		})
	}
}

// closings counts how often it was closed.
type closings struct {
	io.Reader
	times int
}

// Close implements io.Closer.
func (c *closings) Close() error {
	c.times++
	return nil
}

func TestABundleIsClosedOnceWhateverBecomesOfIt(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		d := newDevice(t)
		d.config.Disabled = disabled
		bundle := &closings{Reader: io.LimitReader(nil, 0)}
		_, err := d.start().Upload(t.Context(), bundle, ann)
		require.Error(t, err)
		assert.Equal(t, 1, bundle.times)
	}
}
