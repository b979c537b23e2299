package replica

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// recallTime is how long the server may take to tell of an event that it has.
const recallTime = 10 * time.Second

// sameHistory returns lv.ErrCompacted unless the server's events are the ones
// that led to what readers see. One that was restored, or has begun anew, gives
// the same numbers to other events, and those after a number would be mixed
// with rows that it never had. The event whose state readers see tells: what
// the server has at its number must be of the same time.
func (s *source) sameHistory(ctx context.Context) error {
	if s.fresh.Swap(false) {
		return nil
	}
	state, err := s.replica.table.Snapshot(ctx)
	switch {
	case err != nil:
		return err
	case state.Seq == 0: // there was no event, and nothing that would be read again
		return lv.ErrCompacted
	case state.Time.IsZero(): // the server had forgotten that event itself
		return nil
	}
	answer, err := s.get(ctx, "changes", url.Values{"after": {strconv.FormatInt(state.Seq-1, 10)}})
	if err != nil {
		return err
	}
	defer answer.Close()
	late := time.AfterFunc(recallTime, func() { answer.cancel(context.DeadlineExceeded) })
	same, told := false, false
	err = readEvents(answer, s.maxEvent, func(e lv.Event) bool {
		same, told = e.Seq == state.Seq && e.Time.Equal(state.Time), true
		return false
	})
	switch inTime := late.Stop(); {
	case same:
		return nil
	case told || !inTime || errors.Is(err, lv.ErrCompacted):
		return lv.ErrCompacted
	}
	return err
}
