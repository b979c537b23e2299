package replica

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// recallTime is how long the server may take to tell of an event that it has.
const recallTime = 10 * time.Second

// sameHistory returns lv.ErrCompacted unless the server's events are the ones
// that led to what readers see. One that was restored, or has begun anew, may
// give the same numbers to other events, and those after a number would be mixed
// with rows that it never had. Now is what the server calls its history; if it
// does not, or did not when the state was read, the event whose state readers
// see tells: what the server has at its number must be of the same time.
func (s *source) sameHistory(ctx context.Context, now string) error {
	fresh := s.fresh.Swap(false)
	state, err := s.replica.table.Snapshot(ctx)
	switch {
	case err != nil:
		return err
	case now != "" && state.History != "":
		if state.History != now {
			return fmt.Errorf("%w: the server has another history", lv.ErrCompacted)
		}
		return nil
	case fresh:
		return nil
	case state.Seq == 0 || state.Time.IsZero(): // nothing that would be read again, or forgotten by the server itself
		return lv.ErrCompacted
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
