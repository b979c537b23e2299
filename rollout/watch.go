package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watch looks at one step: at what its revisions answer, and for how long.
type watch struct {
	r       *runner
	ctx     context.Context
	cancel  context.CancelFunc
	results chan result        // one for each that is busy
	window  context.Context    // of the measurements of this traffic
	end     context.CancelFunc // of window

	begun   time.Time // when the step's traffic was last set, by this process
	moves   int       // of the keeper, then
	base    map[string]Counts
	next    map[string]time.Time // by analysis: when it measures next
	busy    map[string]bool      // by analysis, whatever window it was asked in
	looked  map[string]bool      // by analysis: it has had a verdict in this window
	counts  time.Time            // when the Router's counts are looked at next
	again   time.Time            // when the Router is asked again that did not say what it has counted
	scale   time.Time            // when scaling is looked at next
	late    time.Time            // since when the step is over, and the new revision not as it should be
	dead    time.Time            // since when nothing of the new revision is ready
	gateDue time.Time
	reasons int // that the Gate has given, one after the other

	came    []result
	more    map[string]int // replicas by revision, which its use asks for
	settled bool           // the new revision is as it should be
	failure error          // ends the run
	doubt   string         // pauses it
}

// result is what an analysis found, and which traffic that was of.
type result struct {
	m     Measurement
	moves int
}

// close ends the measurements: who works on the run waits for them.
func (w *watch) close() { w.cancel() }

// restart begins a new window.
func (w *watch) restart() {
	k := w.r.k
	w.begun, w.moves = time.Now(), k.moves
	w.next, w.looked, w.again = map[string]time.Time{}, map[string]bool{}, time.Time{}
	if w.end != nil {
		w.end()
	}
	w.window, w.end = context.WithCancel(w.ctx)
	w.counts = w.begun.Add(min(countInterval, w.hold()))
	w.base = nil
	if s, err := w.r.c.config.Router.Stats(w.ctx, k.svc.ID); err == nil {
		w.base = s.Revisions
		if w.base == nil {
			w.base = map[string]Counts{}
		}
	}
	for _, a := range w.analyses() {
		w.next[a.Name] = w.begun.Add(min(a.interval(), w.hold()))
	}
}

func (a Analysis) interval() time.Duration {
	if a.Interval > 0 {
		return a.Interval
	}
	return analysisInterval
}

// hold is how long the step is looked at.
func (w *watch) hold() time.Duration { return max(0, w.r.step().Hold) }

// judges reports whether there is something to judge: traffic of a new
// revision, for some time.
func (w *watch) judges() bool {
	r := w.r
	return r.now.Made && r.now.Entered && r.k.run.Undoes == "" && w.hold() > 0 &&
		r.k.svc.Split.percent(r.id2()) > 0
}

func (w *watch) analyses() []Analysis {
	var all []Analysis
	if w.judges() {
		for _, a := range w.r.c.config.Analyses {
			if w.r.k.run.Step >= a.From {
				all = append(all, a)
			}
		}
	}
	return all
}

// look begins what measurements are due, and returns when the next is.
func (w *watch) look(v view) (next time.Time) {
	if err := w.health(v); err != nil {
		w.failure = err
		return next
	}
	if w.moves != w.r.k.moves {
		w.restart() // another split was in force
	}
	now := time.Now()
	soonest := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	w.gather()
	for _, a := range w.analyses() {
		if !w.busy[a.Name] && !now.Before(w.next[a.Name]) {
			w.measure(a)
		}
		if !w.busy[a.Name] {
			soonest(w.next[a.Name])
		}
	}
	if w.judges() && !w.r.k.run.Strategy.Tolerance.Off {
		if !now.Before(w.counts) {
			w.count(false)
			w.counts = now.Add(countInterval)
		}
		soonest(w.counts)
		soonest(w.again)
	}
	if !now.Before(w.scale) {
		w.scaleUp(v)
		w.scale = now.Add(scaleInterval)
	}
	w.await(v)
	soonest(w.begun.Add(w.hold()))
	soonest(w.gateDue)
	if !w.dead.IsZero() {
		soonest(w.dead.Add(deadTime))
	}
	return next
}

// measure asks an analysis, in the background.
func (w *watch) measure(a Analysis) {
	w.busy[a.Name] = true
	w.next[a.Name] = time.Now().Add(a.interval())
	scope := Scope{Stable: w.r.k.run.From, New: w.r.k.run.Revision, Step: w.r.k.run.Step, Since: w.begun.UTC()}
	ctx, cancel := context.WithTimeout(w.window, measureTime)
	moves, r := w.moves, w.r
	r.asking.Go(func() {
		defer cancel()
		w.results <- result{r.verdict(ctx, a, scope), moves}
		select {
		case r.nudge <- struct{}{}:
		default:
		}
	})
}

// gather takes the results that have come. One of another split is none.
func (w *watch) gather() {
	for {
		select {
		case res := <-w.results:
			w.busy[res.m.Name] = false
			if res.moves != w.r.k.moves || w.ctx.Err() != nil {
				continue
			}
			w.looked[res.m.Name] = true
			w.came = append(w.came, res)
		default:
			return
		}
	}
}

// ready reports whether there is something to take, or to decide.
func (w *watch) ready(paused bool) bool {
	if paused {
		return len(w.came) > 0 || len(w.more) > 0 || w.r.now.Pause == pauseGate && !time.Now().Before(w.gateDue)
	}
	return w.over() || len(w.came) > 0 || len(w.more) > 0
}

// over reports whether the step has lasted, and every analysis has spoken: one
// that does not know is asked until it does, or has not for as often as pauses
// the run.
func (w *watch) over() bool {
	if time.Since(w.begun) < w.hold() || w.moves != w.r.k.moves || !w.settled {
		return false
	}
	for _, a := range w.analyses() {
		last := w.r.now.Rows[a.Name].Verdict
		if w.busy[a.Name] || !w.looked[a.Name] || last == VerdictInconclusive || last == VerdictError {
			return false
		}
	}
	if w.judges() && !w.r.k.run.Strategy.Tolerance.Off && !w.looked[ownAnalysis] {
		if time.Now().Before(w.again) {
			return false
		}
		w.count(true)
		return len(w.came) == 0 && w.failure == nil && w.looked[ownAnalysis]
	}
	return true
}

// take writes the measurements that have come, and draws the conclusions.
func (w *watch) take() error {
	came := w.came
	w.came = nil
	for _, res := range came {
		if err := w.conclude(res.m); err != nil {
			return err
		}
	}
	return w.grow()
}

// parting writes how the new revision is when somebody goes on, where nobody has
// looked in this window. A step that has a verdict keeps it, unless what came
// since is bad. Whatever it says, it is theirs to decide.
func (w *watch) parting() error {
	if !w.judges() || w.r.k.run.Strategy.Tolerance.Off || w.looked[ownAnalysis] {
		return nil
	}
	w.count(!w.r.k.run.knows())
	if err := w.take(); unwritten(err) {
		return err
	}
	return nil
}

// knows reports whether the Router's counts have said of the step that the run is
// in that it is good, or bad.
func (r *Run) knows() bool {
	var last Verdict
	for _, s := range r.States {
		for _, m := range s.Measurements {
			if s.Step == r.Step && m.Name == ownAnalysis {
				last = m.Verdict
			}
		}
	}
	return last == VerdictPass || last == VerdictFail
}

func (w *watch) conclude(m Measurement) error {
	r := w.r
	before := r.now.Rows[m.Name]
	now := row{Verdict: m.Verdict, Count: 1}
	if before.Verdict == m.Verdict {
		now.Count += before.Count
	}
	kind := EventMeasurement
	if !told(now.Count) {
		kind = ""
	}
	message := said(fmt.Sprintf("%s: %s", m.Name, m.Verdict), m.Reason)
	if now.Count > mostAlike {
		message = fmt.Sprintf("%s: %s, %d times in a row: %s", m.Name, m.Verdict, now.Count, m.Reason)
	}
	err := r.note(kind, message, func(run *Run, _ *Service) {
		if r.now.Rows == nil {
			r.now.Rows = map[string]row{}
		}
		r.now.Rows[m.Name] = now
		if n := len(run.States); n > 0 {
			run.States[n-1].Measurements = append(run.States[n-1].Measurements, m)
		}
		run.trim()
	})
	if err != nil {
		return err
	}
	strategy := r.k.run.Strategy
	limits := strategy.Limits
	why := fmt.Sprintf("analysis %q: %s", m.Name, m.Reason)
	switch {
	case m.Verdict == VerdictFail && now.Count >= limits.Fail:
		return errors.New(why)
	case m.Verdict == VerdictInconclusive && now.Count >= limits.Inconclusive,
		m.Verdict == VerdictError && now.Count >= limits.Error,
		m.Verdict == VerdictInconclusive && m.Name == ownAnalysis && strategy.Tolerance.exceeded(m):
		if w.doubt = why; r.k.run.State != StatePaused {
			r.now.Rows[m.Name] = row{} // who goes on has seen it
		}
	}
	return nil
}
