package firmware_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// TestAMediumThatBlocksDelaysNoStatus asks for it while each write and each sync
// takes an hour.
func TestAMediumThatBlocksDelaysNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 10*segment))
		d.sim.Inject(slot.Faults{
			Write: func(string, int64, []byte) error { time.Sleep(time.Hour); return nil },
			Sync:  func(string) error { time.Sleep(time.Hour); return nil },
		})
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() {
			_, err := fw.Wait(ctx, run.ID)
			ended <- err
		}()
		asked, pulling := 0, 0
		for {
			began := time.Now()
			st, err := fw.Status(ctx)
			require.NoError(t, err)
			require.Zero(t, time.Since(began))
			if asked++; st.State == firmware.DevicePulling {
				pulling++
			}
			select {
			case err := <-ended:
				require.True(t, errors.Is(err, firmware.ErrRestarting), err)
				assert.Greater(t, asked, 100)
				assert.Greater(t, pulling, 50)
				return
			case <-time.After(10 * time.Minute):
			}
		}
	})
}

func TestRunAsksForACatalogNoSoonerThanTheFeedWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		var asked []time.Time
		d.shop.fail = func(string, int64) error {
			asked = append(asked, time.Now())
			return &firmware.UnavailableError{Err: errors.New("too many devices"), After: 40 * time.Minute}
		}
		d.run(d.start(), 4*time.Hour)
		require.Greater(t, len(asked), 2)
		for i, at := range asked[1:] {
			assert.GreaterOrEqual(t, at.Sub(asked[i]), 40*time.Minute)
		}
	})
}
