package firmware_test

import (
	"testing"

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
