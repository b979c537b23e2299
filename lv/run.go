package lv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

const (
	retryPause     = time.Second // after a failure, before the next attempt
	retentionPause = time.Hour   // between two looks at what may be forgotten
)

// Run follows the writes of other processes, applies releases that are due, in
// order of that time, then of their id, and forgets what Retain allows, until
// ctx ends or the Service stops; it returns the error that says which. What
// fails is tried again; the log tells when that begins, when its reason changes
// and when it is over. A release that is due and cannot be applied for now, as
// on a full disk, holds back later ones for ten seconds or so, that they do not
// overtake it. Run may run in any number of processes, and more than once in one.
//
// With Config.ReadOnly it only follows the writes of others. With Config.Reader
// that begins once a table is asked for.
func (s *Service) Run(ctx context.Context) error {
	s.stale.addAll()
	defer func() { // what this planner knew, another may not
		s.stale.addAll()
		s.planned.Set()
	}()
	jobs := []job{{"following", 0, func(idle, _ context.Context, works func()) error { return s.follower.follow(idle, works) }}}
	if !s.config.ReadOnly {
		jobs = append(jobs, job{"applying what is due", 0, new(planner{service: s}).run})
	}
	if !s.config.ReadOnly && s.config.Retain.Versions > 0 {
		jobs = append(jobs, job{"retention", retentionPause, s.retain})
	}
	return s.run(ctx, jobs)
}

// A job is done again and again, with a pause in between. Until idle ends it may
// wait and begin something; what it has begun lasts until work ends. It calls works
// when it knows that it does not fail any more, as when it returns nil.
type job struct {
	name  string
	pause time.Duration
	do    func(idle, work context.Context, works func()) error
}

func (s *Service) run(ctx context.Context, jobs []job) error {
	work, done, err := s.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	idle, leave := s.door.Until(work)
	defer leave()
	var running sync.WaitGroup
	for _, j := range jobs {
		running.Go(func() { s.repeat(idle, work, j) })
	}
	running.Wait()
	return context.Cause(idle)
}

// repeat does a job until idle ends. What fails is tried again. The log tells
// when it begins to fail, why if that changes, and when it works again.
func (s *Service) repeat(idle, work context.Context, j job) {
	told := ""
	works := func() {
		if told != "" {
			s.config.Logger.InfoContext(work, "lv: "+j.name+" works again")
			told = ""
		}
	}
	for idle.Err() == nil {
		wait := j.pause
		err := j.do(idle, work, works)
		ended := work.Err() != nil || s.door.Ending().Err() != nil ||
			idle.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(idle)))
		switch {
		case err == nil:
			works()
		case !ended:
			if reason := err.Error(); reason != told {
				s.config.Logger.ErrorContext(work, "lv: "+j.name+" failed", "err", err)
				told = reason
			}
			wait = retryPause
		}
		_ = pause.For(idle, wait)
	}
}

// A planner applies scheduled releases when they are due, in order of that
// time, then of their id, whichever their tables.
type planner struct {
	service *Service
	plans   map[TableID][]Release // in that order
	tries   map[int64]int         // how often a release could not be applied for now
}

// run applies what is due, and waits for what comes next, until idle ends.
func (p *planner) run(idle, work context.Context, works func()) error {
	for {
		news := p.service.planned.Wait()
		next, err := p.apply(idle, work)
		if err != nil {
			p.service.stale.addAll()
			return err
		}
		works()
		timer := time.NewTimer(next)
		select {
		case <-idle.Done():
			timer.Stop()
			return context.Cause(idle)
		case <-news:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look reads the scheduled releases of tables whose plans have changed.
func (p *planner) look(ctx context.Context) error {
	tables, all := p.service.stale.take()
	if all || p.plans == nil { // another planner may have taken that it is all
		p.plans, tables = map[TableID][]Release{}, map[TableID]bool{}
		for info, err := range p.service.config.VersionStore.Tables(ctx) {
			if err != nil {
				return err
			}
			tables[info.ID] = true
		}
	}
	for id := range tables {
		delete(p.plans, id)
		for r, err := range p.service.config.VersionStore.Releases(ctx, id, Query{State: ReleaseScheduled}) {
			if err != nil {
				return err
			}
			p.plans[id] = append(p.plans[id], r)
		}
		slices.SortFunc(p.plans[id], dueOrder)
	}
	return nil
}

func dueOrder(a, b Release) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }

// first returns the release that is due first, and its table, or nil.
func (p *planner) first() (first *Release, of TableID) {
	for id, plans := range p.plans {
		if len(plans) > 0 && (first == nil || dueOrder(plans[0], *first) < 0) {
			first, of = &plans[0], id
		}
	}
	return first, of
}

const (
	// longestWait bounds how late a change of the wall clock is noticed.
	longestWait = time.Minute
	// patientTries is how often a release that cannot be applied for now holds
	// back those that are due after it.
	patientTries = 10
)

// apply applies what is due and returns how long it is until the next. What is
// scheduled meanwhile gets its place. What fails for good does not hold back
// what comes after it, and what may succeed a little later not for long.
func (p *planner) apply(idle, work context.Context) (next time.Duration, err error) {
	passed := map[int64]bool{}
	for idle.Err() == nil {
		if fault := p.look(work); fault != nil {
			return 0, errors.Join(err, fault)
		}
		r, id := p.first()
		if r == nil {
			return longestWait, err
		}
		if wait := time.Until(r.At); wait > 0 {
			return min(wait, longestWait), err
		}
		p.plans[id] = p.plans[id][1:]
		if passed[r.ID] {
			continue // it has been read again
		}
		passed[r.ID] = true
		fault := p.service.Table(id.App, id.Schema).due(work, *r)
		if fault == nil {
			delete(p.tries, r.ID)
			continue
		}
		err = errors.Join(err, fmt.Errorf("release %d: %w", r.ID, fault))
		if !errors.Is(fault, ErrInvalid) && p.patient(r.ID) {
			return 0, err
		}
	}
	return 0, err
}

// patient counts a try of a release, and reports whether others wait for the
// next one.
func (p *planner) patient(release int64) bool {
	if p.tries == nil {
		p.tries = map[int64]int{}
	}
	p.tries[release]++
	return p.tries[release] < patientTries
}

// due applies a scheduled release, in the name of who scheduled it; it becomes
// failed if it cannot be applied.
func (t *Table) due(ctx context.Context, r Release) error {
	by := By{Actor: r.Last.Actor, Reason: cmp.Or(r.Last.Reason, r.By.Reason)}
	r.State = ReleaseApplied
	_, err := t.put(ctx, by, func(context.Context) (Release, error) { return r, nil })
	var moved *ConflictError
	if errors.As(err, &moved) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) || isContent(err) {
		why := t.explained(ctx, r.ID, err)
		r.State = ReleaseFailed
		if _, err = t.put(ctx, by, func(context.Context) (Release, error) { return r, nil }); err == nil {
			t.logFailed(ctx, r, by, why)
		}
	}
	if errors.Is(err, ErrStale) || errors.Is(err, ErrTooLate) {
		return nil // somebody else was there first; the event says so
	}
	return err
}
