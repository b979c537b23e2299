package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// step is the one that the run is in.
func (r *runner) step() Step {
	steps := r.k.run.Strategy.Steps
	return steps[min(r.k.run.Step, len(steps)-1)]
}

// accepted waits until the first step may begin.
func (r *runner) accepted() error { return r.before(StateBuilding) }

// before goes on to a state in which a step begins, unless somebody, or the
// Gate, holds the run: then it is paused.
func (r *runner) before(next State) error {
	cause, reason, err := r.heldBack()
	r.now.Entered = false
	switch {
	case err != nil:
		return err
	case r.promoted() && r.k.revision() != nil:
		return r.turn(StatePromoting, "", func(run *Run, _ *Service) { run.Wish = unless(run.Wish, WishPromote) })
	case cause != "":
		return r.pauseFor(cause, reason)
	}
	return r.turn(next, "", nil)
}

// pauseFor pauses the run.
func (r *runner) pauseFor(cause pauseCause, reason string) error {
	r.now.Pause = cause
	return r.turn(StatePaused, reason, func(run *Run, _ *Service) {
		if cause == pauseWish {
			run.Wish = unless(run.Wish, WishPause)
		}
	})
}

// heldBack says what holds the run before a step.
func (r *runner) heldBack() (pauseCause, string, error) {
	for {
		switch w := r.wished(); {
		case w != nil && w.Kind == WishPause:
			return pauseWish, w.By.String(), nil
		case w != nil && w.Kind == WishPromote:
			return "", "", nil
		}
		err := r.gate()
		switch cause := r.forward(); {
		case cause != nil:
			return "", "", cause
		case err == nil, unwritten(err):
			return "", "", err
		case !errors.Is(err, errWished):
			return pauseGate, err.Error(), nil
		}
	}
}

// building does what the application wants to do before the first replica.
func (r *runner) building() error {
	if r.now.Made && r.k.run.Undoes == "" {
		if err := r.hooks("before", r.c.config.Before, true); err != nil {
			return err
		}
	}
	return r.turn(StateProvisioning, "", func(run *Run, svc *Service) {
		rev := svc.revision(run.Revision.Run)
		switch {
		case rev == nil:
			svc.Revisions = append(svc.Revisions, Revision{ID: run.Revision, Spec: run.Spec.Clone(), Remark: run.Request.Remark})
		case r.now.Kept:
			rev.Replaced = false
			if !slices.ContainsFunc(svc.Revisions, func(r Revision) bool { return r.Replaced }) {
				svc.KeptUntil = time.Time{}
			}
		default:
			rev.Spec = run.Spec.Clone()
			rev.Replicas = min(max(rev.Replicas, *run.Spec.MinReplicas), *run.Spec.MaxReplicas)
			if run.Request.Remark != "" {
				rev.Remark = run.Request.Remark
			}
		}
		if svc.Path == "" {
			svc.Path = *run.Spec.Path
		}
		svc.Split = svc.Split.with(run.Revision, svc.Split.percent(run.Revision.Run))
	})
}

// revision is what the run makes, once it is in the record.
func (k *keeper) revision() *Revision { return k.svc.revision(k.run.Revision.Run) }

// provisioning adds the first replicas.
func (r *runner) provisioning() error {
	n := r.needed()
	for n > 0 && r.k.revision().Replicas == 0 {
		if err := r.more(n); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(r.k.run.Strategy.Deadline)
	err := r.until(func(v view) (bool, time.Time, error) {
		s := v.of[r.id2()]
		switch {
		case s.alive >= r.k.revision().Replicas:
			return true, time.Time{}, nil
		case refusal(s.err) != nil:
			return false, time.Time{}, s.err
		}
		return false, deadline, r.late(s, deadline)
	})
	if err != nil {
		return err
	}
	return r.turn(StateHealthWait, "", nil)
}

// needed is how many replicas the step needs of the new revision.
func (r *runner) needed() int {
	if !r.now.Made && !r.now.Kept {
		return r.k.revision().Replicas
	}
	step := r.step()
	if r.k.run.Undoes != "" {
		return r.now.Full
	}
	return need(step, r.now.Full, r.now.Aim.share(step.Percent), r.now.Aim.Share)
}

// id2 is the run that names the new revision.
func (r *runner) id2() string { return r.k.run.Revision.Run }

// refusal is an error of a Deployer that another try would meet again, or nil.
func refusal(err error) error {
	if errors.Is(err, ErrInvalid) || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// healthWait waits until the first replicas are well.
func (r *runner) healthWait() error {
	if err := r.well(); err != nil {
		return err
	}
	if w := r.wished(); w != nil && w.Kind == WishPause {
		return r.pauseFor(pauseWish, w.By.String())
	}
	if r.promoted() {
		return r.before(StatePromoting)
	}
	return r.turn(StateShifting, "", nil)
}

// maxRestarts is how often a new replica may begin anew before it is well.
const maxRestarts = 5

// well waits until all replicas that there are to be of the new revision have
// been ready for long enough.
func (r *runner) well() error {
	deadline := time.Now().Add(r.k.run.Strategy.Deadline)
	return r.until(func(v view) (bool, time.Time, error) {
		s, rev := v.of[r.id2()], r.k.revision()
		switch {
		case s.steady >= rev.Replicas:
			return true, time.Time{}, nil
		case refusal(s.err) != nil:
			return false, time.Time{}, s.err
		case s.vain != "":
			return false, time.Time{}, fmt.Errorf("a replica %s", s.vain)
		}
		return false, deadline, r.late(s, deadline)
	})
}

// late is an error once the new revision has had its time.
func (r *runner) late(s *standing, deadline time.Time) error {
	if time.Now().Before(deadline) {
		return nil
	}
	why := s.failure
	if s.err != nil {
		why = s.err.Error()
	}
	return fmt.Errorf("%d of %d replicas are ready after %s: %s", s.steady, r.k.revision().Replicas, r.k.run.Strategy.Deadline, why)
}

// shifting brings the step's traffic about.
func (r *runner) shifting() error {
	step := r.step()
	if err := r.grow(r.now.Aim.share(step.Percent), r.needed(), &step); err != nil {
		return err
	}
	r.now.Entered, r.now.Pause = true, ""
	return r.turn(StateAnalysing, "", nil)
}

// promoting brings all about that is wanted.
func (r *runner) promoting() error {
	n := r.now.Full
	if !r.now.Made && !r.now.Kept {
		n = r.k.revision().Replicas
	}
	if err := r.grow(r.now.Aim.Share, n, nil); err != nil {
		return err
	}
	return r.turn(StateDraining, "", nil)
}

// draining waits for the last requests of what was replaced. It is kept.
func (r *runner) draining() error {
	from, last := r.k.run.From, time.Now().Add(r.k.run.Strategy.DrainTimeout)
	drained := !r.replaces()
	for !drained && time.Now().Before(last) {
		var v view
		err := r.until(func(now view) (bool, time.Time, error) { v = now; return true, time.Time{}, nil })
		if err != nil {
			return err
		}
		table, _ := r.c.lastTable(r.k.svc.ID)
		var endpoints []string
		for _, rep := range v.of[from.Run].staying() {
			if rep.Endpoint != "" && !table.serves(rep.Endpoint, "") {
				endpoints = append(endpoints, rep.Endpoint)
			}
		}
		if len(endpoints) == 0 {
			break
		}
		if drained, err = r.drains(last, endpoints); unwritten(err) {
			return err
		}
		if !drained {
			if err := r.forward(); err != nil {
				return err
			}
			if err := r.pause(min(time.Second, max(0, time.Until(last)))); err != nil {
				return err
			}
		}
	}
	return r.turn(StateFinalising, "", nil)
}

// drains waits until nothing is open at endpoints, but no longer than until, and
// looks after the service meanwhile.
func (r *runner) drains(until time.Time, endpoints []string) (drained bool, err error) {
	ctx, cancel := context.WithDeadline(r.ahead, until)
	ended, id := make(chan struct{}), r.k.svc.ID
	go func() {
		defer close(ended)
		drained = r.c.config.Router.Drain(ctx, id, endpoints...) == nil
	}()
	err = r.upkeep(ctx, ended, never)
	cancel()
	<-ended
	return drained, err
}

func (s *standing) staying() []Replica {
	if s == nil {
		return nil
	}
	return s.stay
}

// replaces reports whether the old content has no traffic in the end.
func (r *runner) replaces() bool {
	from := r.k.run.From
	return from.Run != "" && from.Run != r.id2() && r.now.Aim.After.percent(from.Run) == 0 &&
		(r.now.Aim.Share > 0 || r.now.Aim.Before.percent(from.Run) == 0)
}

// finalising ends the run as one that has succeeded.
func (r *runner) finalising() error {
	if r.now.Made || r.now.Kept {
		if err := r.hooks("after", r.c.config.After, false); err != nil {
			return err
		}
	}
	if err := r.forward(); err != nil {
		return err
	}
	return r.turn(StateSucceeded, "", func(run *Run, svc *Service) {
		run.Wish = nil
		for i := range svc.Revisions {
			if svc.Revisions[i].Replaced { // only what was replaced last is kept
				svc.Revisions[i].Replicas = 0
			}
		}
		svc.Split = stepping(svc.Split, run.Revision, Step{})
		r.retire(svc)
		svc.Stable = svc.stable(run.Revision)
		svc.Untold = append(svc.Untold, run.ID)
		run.Reason = unjudged(run)
	})
}

// unjudged says that a run which was to be judged was not, or that its last
// traffic could not be, or nothing.
func unjudged(run *Run) string {
	s, looked := run.Strategy, false
	for _, step := range s.Steps {
		looked = looked || step.Hold > 0 && step.Percent > 0
	}
	measured := false
	var last Measurement // of the Router's counts
	for _, state := range run.States {
		for _, m := range state.Measurements {
			if measured = true; m.Name == ownAnalysis {
				last = m
			}
		}
	}
	switch last.Verdict {
	case VerdictInconclusive, VerdictError:
		return cut(fmt.Sprintf("promoted without a verdict: analysis %q: %s", last.Name, last.Reason), maxReason)
	case VerdictFail: // fewer than Limits say, or somebody knew better
		return cut(fmt.Sprintf("promoted all the same: analysis %q: %s", last.Name, last.Reason), maxReason)
	}
	if s.Tolerance.Off || !looked || measured || run.Undoes != "" || run.From.Run == "" || run.From == run.Revision || run.Split.percent(run.Revision.Run) == 0 {
		return ""
	}
	if !slices.ContainsFunc(run.States, func(r StateRecord) bool {
		return r.State == StateAnalysing && r.Step < len(s.Steps) && s.Steps[r.Step].Hold > 0 && s.Steps[r.Step].Percent > 0
	}) {
		return "promoted before it was looked at: nothing was judged"
	}
	return "no request came while it was looked at: nothing was judged"
}

// retire keeps what was replaced, for as long as the Strategy says.
func (r *runner) retire(svc *Service) {
	rev, keep := svc.revision(r.k.run.From.Run), r.k.run.Strategy.KeepOld
	if rev == nil || !r.replaces() {
		return
	}
	rev.Replaced = true
	svc.KeptUntil = time.Now().UTC().Add(keep).Truncate(time.Millisecond)
	if keep < 0 {
		rev.Replicas, svc.KeptUntil = 0, time.Time{}
	}
}

// stable is what a run that has succeeded makes the stable revision: its own,
// unless another one has more traffic.
func (s *Service) stable(made RevisionID) RevisionID {
	most := s.Split.percent(made.Run)
	best := made
	for _, w := range s.Split.Weights {
		if w.Percent > most {
			best, most = RevisionID{Service: s.ID, Version: w.Version, Run: w.Run}, w.Percent
		}
	}
	return best
}
