package lv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	retryPause     = time.Second // after a failure, before the next attempt
	retentionPause = time.Hour   // between two looks at what may be forgotten
)

// Run follows the writes of other processes, applies releases that are due, in
// order of that time, then of their id, and forgets what Retain allows, until
// ctx ends or the Service closes; it returns the error that says which. What
// fails is logged and tried again; a release that is due and cannot be applied
// for now, as on a full disk, holds back later ones for ten seconds or so, that
// they do not overtake it. It may run in any number of processes.
//
// With Config.ReadOnly it only follows the writes of others. With Config.Reader
// that begins once a table is asked for.
func (s *Service) Run(ctx context.Context) error {
	s.stale.addAll()
	jobs := []job{{"following", 0, s.follower.follow}}
	if !s.config.ReadOnly {
		jobs = append(jobs, job{"releases that are due", 0, new(planner{service: s}).run})
	}
	if !s.config.ReadOnly && s.config.Retain.Versions > 0 {
		jobs = append(jobs, job{"retention", retentionPause, s.retain})
	}
	return s.run(ctx, jobs)
}

// A job is done again and again, with a pause in between.
type job struct {
	name  string
	pause time.Duration
	do    func(context.Context) error
}

func (s *Service) run(ctx context.Context, jobs []job) error {
	done, err := s.begin()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for _, j := range jobs {
		work.Go(func() { s.repeat(ctx, j) })
	}
	select {
	case <-s.stopping:
		cancel(ErrClosed)
	case <-ctx.Done():
	}
	work.Wait()
	return context.Cause(ctx)
}

// repeat does a job until ctx ends. What fails is logged and tried again.
func (s *Service) repeat(ctx context.Context, j job) {
	for ctx.Err() == nil {
		wait := j.pause
		if err := j.do(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.ErrorContext(ctx, "lv: "+j.name+" failed", "err", err)
			wait = retryPause
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// A planner applies scheduled releases when they are due, in order of that
// time, then of their id, whichever their tables.
type planner struct {
	service *Service
	plans   map[TableID][]Release // in that order
	tries   map[int64]int         // how often a release could not be applied for now
}

// run applies what is due, and waits for what comes next, until ctx ends.
func (p *planner) run(ctx context.Context) error {
	for {
		news := p.service.planned.Wait()
		next, err := p.apply(ctx)
		if err != nil {
			p.service.stale.addAll()
			return err
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-news:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look reads the scheduled releases of tables whose plans have changed.
func (p *planner) look(ctx context.Context) error {
	tables, all := p.service.stale.take()
	if all {
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
func (p *planner) apply(ctx context.Context) (next time.Duration, err error) {
	passed := map[int64]bool{}
	for {
		if fault := p.look(ctx); fault != nil {
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
		fault := p.service.Table(id.App, id.Schema).due(ctx, *r)
		if fault == nil {
			delete(p.tries, r.ID)
			continue
		}
		err = errors.Join(err, fmt.Errorf("release %d: %w", r.ID, fault))
		if !errors.Is(fault, ErrInvalid) && p.patient(r.ID) {
			return 0, err
		}
	}
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

// due applies a scheduled release, which becomes failed if it cannot be applied.
func (t *Table) due(ctx context.Context, r Release) error {
	by := By{Actor: r.Approver, Reason: r.By.Reason}
	if by.Actor == "" {
		by.Actor = r.By.Actor
	}
	r.State = ReleaseApplied
	_, err := t.put(ctx, by, func() (Release, error) { return r, nil })
	var moved *ConflictError
	if errors.As(err, &moved) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) || isContent(err) {
		t.service.config.Logger.WarnContext(ctx, "lv: a scheduled release failed",
			"app", t.ID.App, "schema", t.ID.Schema, "release", r.ID, "err", t.explained(ctx, r.ID, err))
		r.State = ReleaseFailed
		_, err = t.put(ctx, by, func() (Release, error) { return r, nil })
	}
	if errors.Is(err, ErrStale) || errors.Is(err, ErrTooLate) {
		return nil // somebody else was there first; the event says so
	}
	return err
}
