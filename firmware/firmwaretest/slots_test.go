package firmwaretest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// simulated is the harness of a Simulator, whose slots wrap may break.
func simulated(wrap func(*slot.Simulator) firmware.Slots) firmwaretest.SlotsHarness {
	sims := map[firmware.Slots]*slot.Simulator{}
	return firmwaretest.SlotsHarness{
		Open: func(_ testing.TB, image []byte) firmware.Slots {
			sim := slot.NewSimulator("", image)
			s := wrap(sim)
			sims[s] = sim
			return s
		},
		Restart: func(t testing.TB, s firmware.Slots) firmware.Slots {
			require.NoError(t, sims[s].Reboot(t.Context()))
			return s
		},
	}
}

func TestTheSimulatorKeepsThePromisesOfSlots(t *testing.T) {
	firmwaretest.RunSlots(t, simulated(func(s *slot.Simulator) firmware.Slots { return s }))
}
