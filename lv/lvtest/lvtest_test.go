package lvtest_test

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestMemory(t *testing.T) {
	lvtest.RunVersionStore(t, lvtest.Harness{
		Open:  func(testing.TB) lv.VersionStore { return memory.New().Versions() },
		Again: func(_ testing.TB, first lv.VersionStore) lv.VersionStore { return first },
		Retain: func(_ testing.TB, events int, age time.Duration) lv.VersionStore {
			db := memory.New()
			db.Retention = storage.Retention{Events: events, Age: age}
			return db.Versions()
		},
	})
}
