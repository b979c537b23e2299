package rollout

import (
	"fmt"
	"log/slog"
	"time"
)

// grow brings the new revision to a share and to at least so many replicas, in
// as many moves as Surge and Unavailable demand: replicas first, then the
// traffic that they can bear, then what the old content needs no more is taken
// away, which makes room for the next. A step says what rules it has; nil has
// none.
func (r *runner) grow(share, n int, step *Step) error {
	for {
		if err := r.well(); err != nil {
			return err
		}
		rev := r.k.revision()
		bears := share
		if rev.Replicas < n {
			bears = min(share, r.now.Aim.Share*rev.Replicas/max(r.now.Full, 1))
		}
		// What goes back moves once, unless nothing may run twice.
		if rev.Replicas >= n || r.k.run.Undoes == "" || r.k.run.Strategy.Surge == 0 {
			if err := r.give(bears, step, rev.Replicas >= n); err != nil {
				return err
			}
		}
		if rev.Replicas >= n {
			return r.settled()
		}
		if err := r.more(n); err != nil {
			return err
		}
	}
}

// give sets the traffic of the new revision, which has fallen for nobody who
// moves forward.
func (r *runner) give(share int, step *Step, last bool) error {
	id := r.k.run.Revision
	begin, now := r.now.Aim.Before.percent(id.Run), r.k.svc.Split.percent(id.Run)
	if r.now.Back == nil && (r.now.Aim.Share >= begin && share < now || r.now.Aim.Share < begin && share > now) {
		share = now
	}
	split := r.now.Aim.at(share)
	split.Rules, split.Sticky = r.k.svc.Split.Rules, r.k.svc.Split.Sticky
	switch {
	case step != nil && last:
		split = stepping(split, id, *step)
	case step == nil:
		split = stepping(split, id, Step{})
	}
	if !sameJSON(split, r.k.svc.Split) {
		err := r.turn(r.k.run.State, "", func(_ *Run, svc *Service) {
			svc.Split = split.Clone()
			svc.Generation++
		})
		if err != nil {
			return err
		}
	}
	return r.until(func(view) (bool, time.Time, error) { return true, time.Time{}, nil })
}

// more asks for more replicas of the new revision, at most n, or makes room for
// them.
func (r *runner) more(n int) error {
	s, rev := r.k.run.Strategy, r.k.revision()
	old := r.k.svc.revision(r.k.run.From.Run)
	if old == nil || old.ID == rev.ID {
		return r.resize(rev.ID.Run, n)
	}
	most := max(r.now.Numbers[old.ID.Run], r.now.Full)
	if !r.replaces() {
		most = r.now.Numbers[old.ID.Run] + r.now.Full
	}
	most += s.Surge
	if explicit := r.step().Replicas; explicit > 0 && n == explicit || r.k.run.Undoes != "" && s.Surge > 0 {
		most = max(most, old.Replicas+n)
	}
	if room := most - old.Replicas - rev.Replicas; room > 0 {
		return r.resize(rev.ID.Run, min(n, rev.Replicas+room))
	}
	fewer := 0
	err := r.until(func(v view) (bool, time.Time, error) {
		fewer = r.spare(old, n-rev.Replicas, v.of[old.ID.Run].ready, v.of[rev.ID.Run].ready)
		return true, time.Time{}, nil
	})
	if err != nil {
		return err
	}
	if fewer == 0 { // a promise must give way, or nothing goes on
		return r.resize(rev.ID.Run, rev.Replicas+1)
	}
	if err := r.resize(old.ID.Run, old.Replicas-fewer); err != nil {
		return err
	}
	return r.settled()
}

// spare is how many replicas the old content can do without: those beyond what
// its share needs, as long as enough stay ready, and those that Strategy allows
// to be unavailable. What is not ready serves nobody.
func (r *runner) spare(old *Revision, wanted, ready, newReady int) int {
	before := r.now.Numbers[old.ID.Run]
	keep := before
	if share := r.now.Aim.Before.percent(old.ID.Run); r.replaces() {
		keep = 0
		if share > 0 {
			keep = ceil(before*r.k.svc.Split.percent(old.ID.Run), share)
		}
	}
	unavailable := r.k.run.Strategy.Unavailable
	floor := min(max(r.now.Full, before)-unavailable, ready+newReady)
	fewer := 0
	for n := 1; n <= min(old.Replicas, wanted); n++ {
		left := old.Replicas - n
		if newReady+min(ready, left) < floor || left < keep && unavailable == 0 && left < ready {
			break
		}
		fewer = n
	}
	return fewer
}

// resize writes how many replicas there are to be of a revision.
func (r *runner) resize(run string, n int) error {
	return r.turn(r.k.run.State, "", func(_ *Run, svc *Service) { svc.revision(run).Replicas = n })
}

// settled waits until what is surplus has gone, for the Strategy's time. Then
// the run goes on, unless it must not run twice; what is left is taken away by
// who looks after the service.
func (r *runner) settled() error {
	s := r.k.run.Strategy
	last := time.Now().Add(s.DrainTimeout + s.Deadline)
	return r.until(func(v view) (bool, time.Time, error) {
		if n := len(v.surplus); n > 0 {
			if time.Now().Before(last) {
				return false, last, nil
			}
			err := fmt.Errorf("%s %s not gone after %s", many(n, "replica"), are(n), s.DrainTimeout+s.Deadline)
			if s.Surge == 0 && r.now.Back == nil {
				return false, last, err
			}
			r.c.log(slog.LevelError, "goes on", *r.k.run, "err", err)
		}
		return true, time.Time{}, nil
	})
}
