package rollout

import (
	"fmt"
	"maps"
	"math"
	"time"
)

const (
	// scaleInterval is how often the use of resources is looked at.
	scaleInterval = 15 * time.Second
	// calm is for how long fewer replicas must have been enough before one is
	// taken away.
	calm = 5 * time.Minute
	// slack is how far use may be from its threshold without an effect.
	slack = 0.1
)

// sample is how many replicas the use of resources asked for.
type sample struct {
	at time.Time
	n  int
}

// asks is how many replicas the use of resources asks for: those that use would
// be at the threshold of, the most of any Scaling. It is not ok while the
// revision is not as it should be: then its figures say nothing.
func (r Revision) asks(s *standing) (n int, ok bool) {
	if r.Replicas == 0 || s == nil || s.ready < r.Replicas {
		return 0, false
	}
	for _, sc := range r.Spec.Scaling {
		var used, given float64
		for _, rep := range s.stay {
			switch {
			case sc.Resource == "cpu" && r.Spec.CPU != nil:
				used, given = used+rep.CPU, given+*r.Spec.CPU
			case sc.Resource == "mem" && r.Spec.Memory != nil:
				used, given = used+float64(rep.Memory), given+float64(*r.Spec.Memory)
			}
		}
		if given == 0 {
			continue
		}
		ratio := 100 * used / given / float64(sc.Threshold)
		want := r.Replicas
		if math.Abs(ratio-1) > slack {
			want = int(math.Ceil(float64(r.Replicas)*ratio - 1e-9))
		}
		n, ok = max(n, want), true
	}
	least := min(*r.Spec.MinReplicas, r.Replicas) // a step may need fewer
	return min(max(n, least, 1), *r.Spec.MaxReplicas), ok
}

// steadied is how many replicas a revision is to have: more at once, fewer only
// after what the last minutes asked for.
func (k *known) steadied(run string, current, asked int, now time.Time) int {
	if k.asked == nil {
		k.asked = map[string][]sample{}
	}
	samples := k.asked[run]
	if len(samples) == 0 {
		samples = []sample{{now, current}}
	}
	samples = append(samples, sample{now, asked})
	for len(samples) > 1 && now.Sub(samples[0].at) > calm {
		samples = samples[1:]
	}
	k.asked[run] = samples
	most := asked
	for _, s := range samples {
		most = max(most, s.n)
	}
	if asked >= current {
		return asked
	}
	return min(current, most)
}

// scaled are the replicas that the use of resources asks for, by revision, where
// that is not what there is.
func (c *Controller) scaled(svc *Service, v view, now time.Time) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, wanted := c.knows(svc.ID), map[string]int{}
	maps.DeleteFunc(k.asked, func(run string, _ []sample) bool { return svc.revision(run) == nil })
	for _, r := range svc.Revisions {
		if r.Replaced || len(r.Spec.Scaling) == 0 {
			continue
		}
		asked, ok := r.asks(v.of[r.ID.Run])
		if !ok {
			continue
		}
		if n := k.steadied(r.ID.Run, r.Replicas, asked, now); n != r.Replicas {
			wanted[r.ID.Run] = n
		}
	}
	return wanted
}

// scaleUp finds out who needs more replicas while a step is looked at. Fewer
// are a matter for afterwards.
func (w *watch) scaleUp(v view) {
	w.more = nil
	for run, n := range w.r.c.scaled(&w.r.k.svc, v, time.Now()) {
		if n > w.r.k.svc.revision(run).Replicas {
			if w.more == nil {
				w.more = map[string]int{}
			}
			w.more[run] = n
		}
	}
}

// grow writes what scaleUp has found.
func (w *watch) grow() error {
	more := w.more
	if w.more = nil; len(more) == 0 {
		return nil
	}
	return w.r.note(EventProgress, "scaled", func(run *Run, svc *Service) {
		for run, n := range more {
			if rev := svc.revision(run); rev != nil {
				rev.Replicas = n
			}
		}
		old, fresh := svc.revision(w.r.k.run.From.Run), w.r.k.revision()
		if w.r.replaces() && old != nil && more[old.ID.Run] > 0 && fresh != nil { // what both have is needed in the end
			w.r.now.Full = max(w.r.now.Full, min(old.Replicas+svc.revision(fresh.ID.Run).Replicas, *run.Spec.MaxReplicas))
		}
	})
}

// await keeps a step from ending while its replicas are not as they should be,
// but not for ever.
func (w *watch) await(v view) {
	s, rev := v.of[w.r.id2()], w.r.k.revision()
	w.settled = rev == nil || s == nil || !w.r.now.Entered || s.steady >= rev.Replicas
	switch {
	case w.settled || time.Since(w.begun) < w.hold():
		w.late = time.Time{}
	case w.late.IsZero():
		w.late = time.Now()
	case time.Since(w.late) >= w.r.k.run.Strategy.Deadline:
		w.failure = fmt.Errorf("%d of %d replicas are ready: %s", s.steady, rev.Replicas, s.failure)
	}
}
