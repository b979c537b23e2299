package firmware_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// lateSlots refuse to activate, as when their records were lost meanwhile.
type lateSlots struct{ firmware.Slots }

func (lateSlots) Activate(context.Context, firmware.Release, string) error {
	return fmt.Errorf("%w: the slot does not hold it", firmware.ErrTooLate)
}

func TestARunWhoseSlotIsNotActivatedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 3*segment+17))
		d.config.Slots = lateSlots{d.sim}
		run, err := d.start().Update(ctx, firmware.Request{By: ann})
		require.ErrorIs(t, err, firmware.ErrFailed)
		assert.Equal(t, firmware.StateFailed, run.State)
		assert.Contains(t, run.Reason, "does not hold it")
		assert.Zero(t, d.sim.Starts())
	})
}
