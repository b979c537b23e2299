package firmware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestAWindowThatNeverOpensIsRefused(t *testing.T) {
	d := newDevice(t)
	for _, tt := range []struct {
		window firmware.Window
		says   string
	}{
		{firmware.Window{Start: 24 * time.Hour}, "Window.Start is 24h0m0s, less than 24h is allowed"},
		{firmware.Window{Start: -time.Minute}, "Window.Start is -1m0s"},
		{firmware.Window{Length: time.Second}, "Window.Length is 1s, 1m0s to 24h are allowed"},
		{firmware.Window{Length: -time.Hour}, "Window.Length is -1h0m0s"},
		{firmware.Window{Length: 25 * time.Hour}, "Window.Length is 25h0m0s"},
		{firmware.Window{Days: []time.Weekday{7}}, "Window.Days has 7"},
		{firmware.Window{Days: []time.Weekday{time.Sunday, -1}}, "Window.Days has -1"},
	} {
		c := d.config
		c.Window = tt.window
		_, err := firmware.New(c)
		require.ErrorIs(t, err, firmware.ErrInvalid)
		require.ErrorContains(t, err, tt.says)
		require.NoError(t, tt.window.Gate(t.Context(), firmware.Run{}, firmware.StepPull))
		err = tt.window.Gate(t.Context(), firmware.Run{}, firmware.StepInstall)
		require.ErrorIs(t, err, firmware.ErrInvalid, "a Gate of one's own says the same")
	}
}

func TestARunWaitsForItsWindowAndThenForItsGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Interval = -1
		d.config.Window = firmware.Window{Start: 2 * time.Hour, Days: []time.Weekday{time.Sunday}, Location: time.UTC}
		d.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
			if next == firmware.StepInstall && time.Now().Minute() < 30 {
				return errors.New("people are watching")
			}
			return nil
		}
		fw := d.start()
		_, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		reason := func() string {
			synctest.Wait()
			st, err := fw.Status(ctx)
			require.NoError(t, err)
			require.NotNil(t, st.Run)
			return st.Run.Reason
		}
		assert.Equal(t, "the window opens on Sunday at 02:00", reason(), "it is Saturday")
		time.Sleep(26*time.Hour + 2*time.Minute)
		assert.Equal(t, "people are watching", reason())
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, d.sim.Starts())
	})
}

func TestAWindowOfALocationAloneIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Window = firmware.Window{Location: time.FixedZone("", -2*60*60)} // it is ten in the evening
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		synctest.Wait()
		run, err = fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, "the window opens on Saturday at 00:00", run.Reason)
	})
}

func TestWhatIsNotFoundIsNamed(t *testing.T) {
	ctx, d := t.Context(), newDevice(t)
	fw := d.start()
	_, err := fw.Get(ctx, "no-run")
	require.EqualError(t, err, `device "4711": firmware: not found: run "no-run"`)
	require.EqualError(t, fw.Cancel(ctx, "no-run", ann), err.Error())
	_, err = fw.Start(ctx, firmware.Request{Version: "9.9.9"})
	require.EqualError(t, err, `firmware: not found: version "9.9.9"`)
}
