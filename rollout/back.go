package rollout

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// turnBack begins the way back, and gives the stable revisions their replicas
// again.
func (r *runner) turnBack(why error) error {
	to, reason := StateRolledBack, cut(why.Error(), maxReason)
	if errors.Is(why, ErrCancelled) {
		to = StateCancelled
	}
	err := r.turnFor(to, reason)
	if err == nil {
		r.c.log(slog.LevelWarn, "rolling back", *r.k.run)
	}
	return err
}

func (r *runner) turnFor(to State, reason string) error {
	back := &goingBack{To: to}
	err := r.k.save(func(run *Run, svc *Service) ([]Event, error) {
		if run.State == StateRollingBack {
			return nil, r.written(run)
		}
		actor := ""
		if cancelled(run) { // which always wins
			back.To, reason, actor = StateCancelled, run.Wish.By.String(), run.Wish.By.Actor
		}
		r.now.Back = back
		r.enter(run, StateRollingBack, reason)
		r.restore(run, svc)
		r.now.put(run)
		return []Event{{Kind: EventState, Actor: actor, Message: reason}}, nil
	})
	if err != nil {
		r.now.Back = nil
		return err
	}
	r.noticed()
	return nil
}

// restore writes the numbers and contents that the service had, unless nothing
// may run twice: then what is new goes first.
func (r *runner) restore(run *Run, svc *Service) {
	for i := range svc.Revisions {
		rev := &svc.Revisions[i]
		if rev.ID == run.Revision && (r.now.Made || r.now.Kept) {
			continue
		}
		if rev.ID == run.Revision && rev.ID == run.From {
			rev.Spec = run.Was.Clone()
		}
		if n, known := r.now.Numbers[rev.ID.Run]; known && run.Strategy.Surge > 0 {
			rev.Replicas = max(rev.Replicas, n)
		}
	}
}

// back brings all to where it was: capacity, then traffic, then removal.
func (r *runner) back() error {
	if !r.now.Back.Moved {
		if err := r.capacity(); err != nil {
			return err
		}
		if err := r.trafficBack(); err != nil {
			return err
		}
	}
	if err := r.settled(); err != nil {
		return err
	}
	var v view
	if err := r.until(func(now view) (bool, time.Time, error) { v = now; return true, time.Time{}, nil }); err != nil {
		return err
	}
	gone := r.k.gone(v)
	run := r.k.run
	reason, to := run.Reason, r.now.Back.To
	return r.turn(to, reason, func(run *Run, svc *Service) {
		run.Reason = reason
		run.States[len(run.States)-1].Reason = reason
		run.Wish = nil
		svc.Split = svc.Split.without(gone)
		kept := svc.Revisions[:0]
		for _, rev := range svc.Revisions {
			if !gone("", rev.ID.Run) {
				kept = append(kept, rev)
			}
		}
		svc.Revisions = kept
		svc.Untold = append(svc.Untold, run.ID)
	})
}

// capacity waits until the stable revisions have what they need, and gives them
// meanwhile what they can bear. If they cannot come to it in the Strategy's
// time, what they have must do.
func (r *runner) capacity() error {
	if r.firstEver() {
		return nil
	}
	if r.k.run.Strategy.Surge == 0 {
		if err := r.exchange(); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(r.k.run.Strategy.Deadline)
	for r.moved() && time.Now().Before(deadline) {
		share, enough := 0, false
		err := r.until(func(v view) (bool, time.Time, error) {
			share, enough = r.left(v)
			enough = enough || !time.Now().Before(deadline)
			return enough || r.now.Aim.Share > r.now.Aim.Before.percent(r.id2()) && share < r.k.svc.Split.percent(r.id2()), deadline, nil
		})
		if err != nil || enough {
			return err
		}
		if err := r.give(share, nil, true); err != nil {
			return err
		}
	}
	return nil
}

// moved reports whether the shares are others than before.
func (r *runner) moved() bool {
	now, before := r.k.svc.Split, r.now.Aim.Before
	differs := func(w Weight) bool { return now.percent(w.Run) != before.percent(w.Run) }
	return slices.ContainsFunc(now.Weights, differs) || slices.ContainsFunc(before.Weights, differs)
}

// left is the share that the new revision still has to bear, and whether the
// stable ones have enough.
func (r *runner) left(v view) (share int, enough bool) {
	begin := r.now.Aim.Before.percent(r.id2())
	share, enough = begin, true
	for _, w := range r.now.Aim.Before.Weights {
		s, needed := v.of[w.Run], r.now.Numbers[w.Run]
		if s != nil && w.Percent > 0 && s.ready < needed {
			share = max(share, begin+ceil((r.now.Aim.Share-begin)*(needed-s.ready), needed))
			enough = false
		}
	}
	return share, enough
}

// readyAgain waits, for the Strategy's time, until so many replicas are ready.
func (r *runner) readyAgain(needed map[string]int) error {
	begun, deadline := time.Now(), r.k.run.Strategy.Deadline
	return r.until(func(v view) (bool, time.Time, error) {
		enough := true
		for run, n := range needed {
			if s := v.of[run]; s != nil && s.ready < n {
				enough = false
			}
		}
		return enough || time.Since(begun) >= deadline, begun.Add(deadline), nil
	})
}

// firstEver reports whether there was nothing before.
func (r *runner) firstEver() bool { return len(r.now.Aim.Before.Weights) == 0 }

// exchange gives replicas back one by one, for what must not run twice.
func (r *runner) exchange() error {
	old, id := r.k.run.From.Run, r.id2()
	for {
		rev, fresh := r.k.svc.revision(old), r.k.revision()
		if rev == nil || fresh == nil || rev.ID == fresh.ID || rev.Replicas >= r.now.Numbers[old] {
			return nil
		}
		left := max(0, fresh.Replicas-max(1, r.k.run.Strategy.Unavailable))
		share := min(r.k.svc.Split.percent(id), r.now.Aim.Share*left/max(r.now.Full, 1))
		if left > 0 {
			if err := r.give(share, nil, true); err != nil {
				return err
			}
		}
		if err := r.resize(id, left); err != nil {
			return err
		}
		if err := r.settled(); err != nil {
			return err
		}
		n := r.now.Numbers[old]
		if left > 0 {
			n = min(n, rev.Replicas+max(1, r.k.run.Strategy.Unavailable))
		}
		if err := r.resize(old, n); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if err := r.readyAgain(map[string]int{old: n}); err != nil {
			return err
		}
	}
}

// trafficBack sets the split that the service had, in one move, and says that
// the new revision is to go. Where the stable revisions have nothing ready and
// the new one has, that keeps the traffic: there is nobody else to serve it.
func (r *runner) trafficBack() error {
	serves, dead := false, true
	err := r.until(func(v view) (bool, time.Time, error) {
		for _, w := range r.now.Aim.Before.Weights {
			if s := v.of[w.Run]; s != nil && w.Percent > 0 && (s.ready > 0 || r.now.Numbers[w.Run] == 0) {
				dead = false
			}
		}
		s := v.of[r.id2()]
		serves = s != nil && s.ready > 0 && r.k.svc.Split.percent(r.id2()) > 0
		return true, time.Time{}, nil
	})
	if err != nil {
		return err
	}
	keep := dead && serves && !r.firstEver()
	r.now.Back.Moved = true
	message := ""
	if keep {
		message = fmt.Sprintf("nothing of the stable revision is ready: version %q keeps the traffic", r.k.run.Revision.Version)
		r.c.log(slog.LevelError, "no way back", *r.k.run, "err", message)
	}
	reason := r.k.run.Reason
	err = r.turn(StateRollingBack, reason, func(run *Run, svc *Service) {
		if keep {
			run.Reason = cut(run.Reason+"; "+message, maxReason)
			r.keepNew(run, svc)
			return
		}
		r.giveBack(run, svc)
	})
	if err != nil {
		r.now.Back.Moved = false
	}
	return err
}

// keepNew leaves the traffic to the new revision.
func (r *runner) keepNew(run *Run, svc *Service) {
	svc.Stable = run.Revision
	if rev := svc.revision(run.Revision.Run); rev != nil {
		rev.Replicas = max(rev.Replicas, r.now.Full)
	}
	rules, sticky := svc.Split.Rules, svc.Split.Sticky
	svc.Split = r.now.Aim.After.Clone()
	svc.Split.Rules, svc.Split.Sticky = rules, sticky
	svc.Split = stepping(svc.Split, run.Revision, Step{})
	svc.Generation++
	r.retire(svc)
}

// giveBack makes of the service what it was.
func (r *runner) giveBack(run *Run, svc *Service) {
	svc.Split = r.now.Aim.Before.Clone()
	svc.Split.Sticky = run.Before.Sticky
	svc.Generation++
	if r.now.Made || r.now.Kept {
		if rev := svc.revision(run.Revision.Run); rev != nil {
			rev.Replaced, rev.Replicas = true, r.now.KeptNumber
		}
		if r.now.Kept {
			svc.KeptUntil = r.now.KeptUntil
		}
	}
	for id, n := range r.now.Numbers {
		rev := svc.revision(id)
		if rev == nil || rev.Replaced {
			continue
		}
		if rev.ID != run.Revision { // the load may have asked for more meanwhile
			n = max(n, rev.Replicas)
		}
		rev.Replicas = max(n, *rev.Spec.MinReplicas)
	}
}
