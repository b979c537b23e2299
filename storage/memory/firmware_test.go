package memory_test

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestFirmware(t *testing.T) {
	firmwaretest.RunStore(t, firmwaretest.Harness{
		Open: func(testing.TB) firmware.Store { return memory.New() },
		Retain: func(_ testing.TB, events int, age time.Duration) firmware.Store {
			return memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}})
		},
	})
}
