package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Intervals of what is looked at while a step lasts.
const (
	gateInterval     = time.Minute      // how often a Gate is asked again
	analysisInterval = 30 * time.Second // between two measurements
	countInterval    = 5 * time.Second  // between two looks at what the Router has counted
	deadTime         = 10 * time.Second // for how long a new revision may have nothing ready
)

// looking looks at the step until its time is over, and waits for people where
// it is paused. A new revision that is bad ends it either way.
func (r *runner) looking() error {
	w := r.newWatch()
	defer w.close()
	for {
		if go1, err := r.decide(w); go1 || err != nil {
			return err
		}
		paused := r.k.run.State == StatePaused
		var next time.Time
		err := r.until(func(v view) (bool, time.Time, error) {
			next = w.look(v)
			return w.ready(paused) || r.wishes(), next, w.failure
		})
		if err != nil {
			return err
		}
		if err := w.take(); unwritten(err) || err != nil && !r.goesOn() {
			return err
		}
	}
}

// goesOn reports whether somebody wishes the run to go on, whatever is found.
func (r *runner) goesOn() bool {
	w := r.wished()
	return w != nil && (w.Kind == WishPromote ||
		w.Kind == WishResume && r.k.run.State == StatePaused && r.now.Pause != pauseWish)
}

// wishes reports whether there is a wish to be looked at.
func (r *runner) wishes() bool {
	w := r.wished()
	return w != nil && w.Kind != WishCancel
}

// decide reports whether the run is in another state now.
func (r *runner) decide(w *watch) (moved bool, err error) {
	wish := r.wished()
	paused := r.k.run.State == StatePaused
	if r.goesOn() {
		if err := w.parting(); err != nil {
			return false, err
		}
	}
	switch {
	case wish != nil && wish.Kind == WishPromote:
		if r.k.revision() == nil {
			return true, r.turn(StateBuilding, "", nil) // and then there is nothing to skip
		}
		return true, r.turn(StatePromoting, "", func(run *Run, _ *Service) { run.Wish = unless(run.Wish, WishPromote) })
	case wish != nil && wish.Kind == WishPause && paused && r.now.Pause != pauseGate:
		return false, r.drop(wish.Kind)
	case wish != nil && wish.Kind == WishPause:
		return true, r.pauseFor(pauseWish, wish.By.String())
	case wish != nil && wish.Kind == WishResume && paused:
		return true, r.resume()
	case wish != nil:
		return false, r.drop(wish.Kind)
	case paused && r.now.Pause == pauseGate:
		return r.gateOpens(w)
	case paused:
		return false, nil
	case w.doubt != "":
		return true, r.pauseFor(pauseAnalysis, w.doubt)
	case w.over():
		if r.step().Manual {
			return true, r.pauseFor(pauseManual, "the step waits for Resume or Promote")
		}
		return true, r.next()
	}
	return false, nil
}

// drop forgets a wish that is met.
func (r *runner) drop(kind WishKind) error {
	return r.note(EventProgress, "", func(run *Run, _ *Service) {
		if !cancelled(run) {
			run.Wish = unless(run.Wish, kind)
		}
	})
}

// resume goes on from a pause.
func (r *runner) resume() error {
	r.now.Rows = nil // who goes on has seen them
	done := func(run *Run, _ *Service) { run.Wish = unless(run.Wish, WishResume) }
	switch {
	case !r.now.Entered && r.k.revision() == nil:
		return r.turn(StateBuilding, "", done)
	case !r.now.Entered:
		return r.turn(StateShifting, "", done)
	case r.now.Pause == pauseWish:
		return r.turn(StateAnalysing, "", done)
	}
	return r.next()
}

// gateOpens asks the Gate again.
func (r *runner) gateOpens(w *watch) (moved bool, err error) {
	if time.Now().Before(w.gateDue) {
		return false, nil
	}
	w.gateDue = time.Now().Add(gateInterval)
	err = r.gate()
	switch cause := r.forward(); {
	case cause != nil:
		return false, cause
	case unwritten(err):
		return false, err
	case errors.Is(err, errWished), r.wishes(): // which counts more
		return false, nil
	case err == nil:
		return true, r.resume()
	case cut(err.Error(), maxReason) == r.k.run.Reason:
		return false, nil
	}
	if w.reasons++; told(w.reasons) {
		return false, r.pauseFor(pauseGate, err.Error())
	}
	return false, r.note("", "", func(run *Run, _ *Service) { r.enter(run, StatePaused, err.Error()) })
}

// next leaves the step.
func (r *runner) next() error {
	if r.now.Made && r.k.run.Undoes == "" {
		if err := r.hooks(fmt.Sprintf("after step %d", r.k.run.Step), r.c.config.AfterStep, true); err != nil {
			return err
		}
	}
	if r.k.run.Step+1 >= len(r.k.run.Strategy.Steps) {
		return r.turn(StatePromoting, "", func(run *Run, _ *Service) { run.Wish = unless(run.Wish, WishResume) })
	}
	step := r.k.run.Step + 1
	cause, reason, err := r.heldBack()
	if err != nil {
		return err
	}
	r.now.Entered = false
	state := StateShifting
	if cause != "" {
		state, r.now.Pause = StatePaused, cause
	}
	return r.turn(state, reason, func(run *Run, _ *Service) {
		run.Step = step
		run.States[len(run.States)-1].Step = step
		run.Percent = max(run.Percent, percentOf(run))
		run.Wish = unless(run.Wish, WishResume)
		if cause == pauseWish {
			run.Wish = unless(run.Wish, WishPause)
		}
	})
}

// unless returns the wish, but if it is of a kind that is met: somebody may have
// wished something else meanwhile.
func unless(w *Wish, kind WishKind) *Wish {
	if w != nil && w.Kind == kind {
		return nil
	}
	return w
}

// health ends the run when its new revision is not well any more.
func (w *watch) health(v view) error {
	if !w.r.now.Entered {
		return nil
	}
	s := v.of[w.r.id2()]
	switch {
	case s == nil || s.ready > 0 || w.r.k.revision().Replicas == 0:
		w.dead = time.Time{}
	case w.dead.IsZero():
		w.dead = time.Now()
	case time.Since(w.dead) >= deadTime:
		return fmt.Errorf("no replica of version %q is ready: %s", w.r.k.run.Revision.Version, s.failure)
	}
	if s != nil && s.vain != "" {
		return fmt.Errorf("a replica of version %q %s", w.r.k.run.Revision.Version, s.vain)
	}
	return nil
}

// newWatch begins to look at the step.
func (r *runner) newWatch() *watch {
	w := &watch{r: r, results: make(chan result, len(r.c.config.Analyses)), busy: map[string]bool{}, gateDue: time.Now()}
	if r.k.run.State == StatePaused {
		w.gateDue = time.Now().Add(gateInterval)
	}
	w.ctx, w.cancel = context.WithCancel(r.ahead)
	w.restart()
	return w
}
