package sync

import (
	"fmt"
	"time"
)

// dated is a commit and when it was put, by the remote's clock.
type dated struct {
	entry
	put time.Time
}

// choose returns those of the commits that are kept, by number. They are newest
// first, and the first one is the head that ages are counted from.
func (keep Retention) choose(all []dated, tagged map[string]bool) (map[int64]bool, error) {
	kept := make(map[int64]bool)
	days, weeks := make(map[string]bool), make(map[string]bool)
	if keep.Age > 0 {
		if err := plausible(all); err != nil {
			return nil, err
		}
	}
	for i, c := range all {
		old := keep.Age > 0 && all[0].put.Sub(c.put) >= keep.Age
		if i == 0 || !old || tagged[c.ID] || tagged[c.ID+shelfSuffix] {
			kept[c.Seq] = true
		}
		if !old {
			continue
		}
		year, week := c.put.UTC().ISOWeek()
		ofDay := first(days, c.put.UTC().Format(time.DateOnly), keep.Daily)
		if ofWeek := first(weeks, fmt.Sprint(year, week), keep.Weekly); ofDay || ofWeek {
			kept[c.Seq] = true
		}
	}
	return kept, nil
}

// first reports whether a period is a new one of so many.
func first(seen map[string]bool, period string, most int) bool {
	if seen[period] || len(seen) >= most {
		return false
	}
	seen[period] = true
	return true
}

// plausible refuses ages by a clock that cannot be right: it went back by more
// than a day, or the newest commit is not the youngest.
func plausible(all []dated) error {
	const most = 24 * time.Hour
	for i, c := range all {
		switch {
		case c.put.After(all[0].put):
			return fmt.Errorf("%w: the remote's clock: commit %d is of %s, commit %d of %s", ErrGuard,
				all[0].Seq, all[0].put.Format(time.RFC3339), c.Seq, c.put.Format(time.RFC3339))
		case i > 0 && c.put.Sub(all[i-1].put) > most:
			return fmt.Errorf("%w: the remote's clock went back by %s before commit %d", ErrGuard, c.put.Sub(all[i-1].put), all[i-1].Seq)
		}
	}
	return nil
}
