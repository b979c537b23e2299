package replica

import (
	"io"

	"github.com/upkeep-go/upkeep/lv"
)

// ReadEvents gives tests the reader of the feed.
func ReadEvents(r io.Reader, f func(lv.Event) bool) error { return readEvents(r, maxEvent, f) }

// ReadEventsUpTo is the same with a limit.
func ReadEventsUpTo(bytes int, r io.Reader, f func(lv.Event) bool) error {
	return readEvents(r, bytes, f)
}

// LimitEvents sets how long an event may be. Call it before Run.
func (r *Replica) LimitEvents(bytes int) { r.source.maxEvent = bytes }
