package firmware_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestSettingsThatTwoChangeAtOnceAreThoseOfBoth(t *testing.T) {
	ctx, d := t.Context(), newDevice(t)
	fw := d.start()
	raced := false
	require.NoError(t, fw.Configure(ctx, func(s *firmware.Settings) {
		if !raced {
			raced = true
			require.NoError(t, fw.Configure(ctx, func(s *firmware.Settings) { s.Prereleases = true }, ann))
		}
		s.Checks = false
	}, ann))
	st, err := fw.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, firmware.Settings{Checks: false, Prereleases: true}, st.Settings)
}
