package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// PutRelease implements lv.VersionStore.
func (s *versions) PutRelease(ctx context.Context, id lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	if err := r.Check(); err != nil {
		return lv.Release{}, err
	}
	answer, err := write(ctx, s, id, by, func(w *writing) (lv.Release, error) { return w.put(cloneRelease(r)) })
	return cloneRelease(answer), err
}

func (w *writing) put(r lv.Release) (lv.Release, error) {
	old, err := w.replaced(r)
	if err != nil {
		return lv.Release{}, err
	}
	targets, moves, err := w.resolve(&r)
	if err != nil {
		return lv.Release{}, err
	}
	if old == nil && r.State == lv.ReleaseApplied && !moves {
		return w.lastMove(r), nil
	}
	r.Rev, r.At = 1, stamp(r.At)
	r.ID, r.By, r.Last, r.CreatedAt = w.seq, w.by, w.by, w.now
	kept := new(lv.Release)
	if old != nil {
		r.Rev, r.ID, r.By, r.CreatedAt = old.Rev+1, old.ID, old.By, old.CreatedAt
		r.Last, kept = w.by, old
	} else {
		w.t.releases = append(w.t.releases, kept)
	}
	r.AppliedAt, r.Seq = time.Time{}, 0
	event := lv.Event{Kind: lv.EventDraft, Env: r.Env, Release: r.ID}
	if r.State == lv.ReleaseApplied {
		r.AppliedAt, r.Seq = w.now, w.seq
		event.Kind, event.Rows = lv.EventReleased, w.apply(r, kept, targets)
	}
	*kept = r
	w.event(event)
	return r, nil
}

// replaced returns the release that r replaces, or nil for a new one.
func (w *writing) replaced(r lv.Release) (*lv.Release, error) {
	if r.ID == 0 {
		return nil, nil
	}
	i, ok := slices.BinarySearchFunc(w.t.releases, r.ID, releaseByID)
	if !ok {
		return nil, fmt.Errorf("%w: release %d", lv.ErrNotFound, r.ID)
	}
	old := w.t.releases[i]
	switch {
	case old.State.Done():
		return nil, fmt.Errorf("%w: release %d is %s", lv.ErrTooLate, r.ID, old.State)
	case old.Rev != r.Rev:
		return nil, fmt.Errorf("%w: release %d has changed", lv.ErrStale, r.ID)
	}
	return old, nil
}

// resolve completes the changes of r, and returns where they point and
// whether a pointer would move.
func (w *writing) resolve(r *lv.Release) (targets []*version, moves bool, err error) {
	var conflicts []lv.Change
	for i, c := range r.Changes {
		row := w.t.rows[c.Row]
		if row == nil {
			return nil, false, fmt.Errorf("%w: row %q", lv.ErrNotFound, c.Row)
		}
		target, err := w.target(row, c)
		if err != nil {
			return nil, false, err
		}
		at := row.pointer(r.Env)
		c = lv.Change{Row: c.Row, To: target.id(), Expect: c.Expect}
		if r.State == lv.ReleaseApplied {
			c.From = at.id()
			moves = moves || at != target
			if c.Expect != nil && *c.Expect != c.From {
				conflicts = append(conflicts, c)
			}
		}
		r.Changes[i], targets = c, append(targets, target)
	}
	if conflicts != nil {
		return nil, false, &lv.ConflictError{Changes: cloneChanges(conflicts)}
	}
	return targets, moves, nil
}

func (w *writing) target(r *row, c lv.Change) (*version, error) {
	if c.Working {
		return r.working(), nil
	}
	if c.To == 0 {
		return nil, nil
	}
	v, err := w.t.find(c.To)
	if err == nil && v.Row != c.Row {
		err = fmt.Errorf("%w: version %d of row %q", lv.ErrNotFound, c.To, c.Row)
	}
	return v, err
}

// apply moves the pointers and returns those that moved.
func (w *writing) apply(r lv.Release, kept *lv.Release, targets []*version) (moved []lv.Moved) {
	for i, c := range r.Changes {
		row := w.t.rows[c.Row]
		from := row.pointer(r.Env)
		if from == targets[i] {
			continue
		}
		row.moves[r.Env] = append(row.moves[r.Env], move{w.seq, from, targets[i], kept})
		w.t.judge(row)
		moved = append(moved, w.moved(row, from, targets[i]))
	}
	if r.Env != lv.Production {
		w.t.envs[r.Env] = true
	}
	return moved
}

// lastMove returns the release that moved any of the pointers of r last, or
// the zero Release.
func (w *writing) lastMove(r lv.Release) lv.Release {
	var last move
	for _, c := range r.Changes {
		if moves := w.t.rows[c.Row].moves[r.Env]; len(moves) > 0 && moves[len(moves)-1].seq > last.seq {
			last = moves[len(moves)-1]
		}
	}
	if last.release == nil {
		return lv.Release{}
	}
	return *last.release
}

// PutStrategy implements lv.VersionStore.
func (s *versions) PutStrategy(ctx context.Context, id lv.TableID, strategy lv.Strategy, by lv.By) (lv.Strategy, error) {
	answer, err := write(ctx, s, id, by, func(w *writing) (lv.Strategy, error) {
		return w.putStrategy(cloneStrategy(strategy))
	})
	return cloneStrategy(answer), err
}

func (w *writing) putStrategy(s lv.Strategy) (lv.Strategy, error) {
	old, ok := w.t.strategies[s.ID]
	if s.ID == 0 {
		s.ID, s.Rev = w.seq, 0
	} else if !ok || old.Deleted {
		return lv.Strategy{}, fmt.Errorf("%w: strategy %d", lv.ErrNotFound, s.ID)
	} else if old.Rev != s.Rev {
		return lv.Strategy{}, fmt.Errorf("%w: strategy %d has changed", lv.ErrStale, s.ID)
	}
	target, err := w.t.find(s.Target)
	if err != nil {
		return lv.Strategy{}, err
	}
	s.Row, s.Priority = target.Row, cmp.Or(s.Priority, int64(s.Target))
	s.By, s.Rev, s.Seq = w.by, s.Rev+1, w.seq
	w.t.strategies[s.ID] = s
	for _, name := range []string{old.Row, s.Row} {
		if r := w.t.rows[name]; r != nil {
			w.t.judge(r)
		}
	}
	left := cloneStrategy(s)
	w.event(lv.Event{
		Kind: lv.EventStrategy, Strategy: &left,
		Rows: []lv.Moved{w.moved(w.t.rows[s.Row], nil, target)},
	})
	return s, nil
}
