package firmwaretest_test

import (
	"context"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
)

// eachEvent changes every event that a Watch yields.
func eachEvent(f func(*firmware.Event)) func(firmware.Store) firmware.Store {
	return feed.Each(func(_ context.Context, _ int, e *firmware.Event) bool { f(e); return true })
}

const (
	watchOrder   = "watch yields what was written in order"
	watchNumbers = "events are numbered for each device, without a gap"
)

var watchMutants = []mutant{
	{What: "does not say the state", Caught: watchOrder, Wrap: eachEvent(func(e *firmware.Event) { e.State = "" })},
	{What: "does not say what the device does", Caught: watchOrder, Wrap: eachEvent(func(e *firmware.Event) { e.Device = "" })},
	{What: "does not say how far", Caught: watchOrder, Wrap: eachEvent(func(e *firmware.Event) { e.Percent = 0 })},
	{What: "says of every event how far the run is", Caught: watchOrder, Wrap: eachEvent(func(e *firmware.Event) { e.Percent = max(e.Percent, 7) })},
	{What: "has local times", Caught: watchOrder, Wrap: eachEvent(func(e *firmware.Event) { e.Time = e.Time.In(time.FixedZone("", 3600)) })},
	{What: "forgets who asked", Caught: "an event comes back as it was saved", Wrap: given(func(_ *firmware.Record, events []firmware.Event) {
		for i := range events {
			events[i].Actor = ""
		}
	})},
	{What: "numbers in twos", Caught: watchNumbers, Wrap: eachEvent(func(e *firmware.Event) { e.Seq *= 2 })},
	{What: "numbers the events of all devices", Caught: watchNumbers, Wrap: func(s firmware.Store) firmware.Store {
		given, of := int64(0), map[[2]any]int64{}
		return each(func(d firmware.DeviceStore) firmware.DeviceStore {
			return &device{
				DeviceStore: d,
				save: func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
					n := int64(0)
					for ; of[[2]any{d, n}] > 0; n++ {
					}
					for i := range events {
						given++
						of[[2]any{d, n + int64(i)}] = given
					}
					return d.Save(ctx, r, events...)
				},
				watch: feedOf(d, func(e *firmware.Event) { e.Seq = of[[2]any{d, e.Seq - 1}] }),
			}
		})(s)
	}},
	{What: "cannot save while it watches", Caught: "a watcher may use the store", Wrap: exclusive},
}
