package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// stopGrace is how long a replica has to end by itself, once its requests are
// done.
const stopGrace = 10 * time.Second

// view is a service as it is.
type view struct {
	of      map[string]*standing // by run
	surplus []Replica            // to be taken away
	soon    time.Time            // when a replica will have been ready for long enough, if one is about to
}

// standing is how a revision is.
type standing struct {
	alive     int       // not being stopped, surplus included
	ending    int       // being stopped: nothing is gone before they are
	ready     int       // of those that stay
	steady    int       // of these: for long enough, without a restart
	restarts  int       // the most of one that is not ready
	hopeless  bool      // one that is not ready is
	vain      string    // why waiting for the revision is in vain, after "a replica", or ""
	failure   string    // of one that is not ready
	err       error     // of the Deployer, when something was missing
	endpoints []string  // of what is ready
	stay      []Replica // as many as there should be
}

// view sorts out what a Deployer has found. Those that stay are, of each
// revision, as many as the record says: what is ready first, the oldest first.
func (k *keeper) view(replicas []Replica, minReady time.Duration) view {
	v := view{of: map[string]*standing{}}
	slices.SortFunc(replicas, func(a, b Replica) int { return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID)) })
	k.refuse(replicas)
	slices.SortStableFunc(replicas, func(a, b Replica) int { return cmp.Compare(k.order(a), k.order(b)) })
	for i := range k.svc.Revisions {
		v.of[k.svc.Revisions[i].ID.Run] = &standing{}
	}
	seen := map[string]bool{}
	for _, r := range replicas {
		seen[r.ID] = true
		s, rev := v.of[r.Revision.Run], k.svc.revision(r.Revision.Run)
		if k.ends[r.ID] != nil {
			r.State = ReplicaStopping
		}
		if rev == nil || r.State == ReplicaStopping {
			if v.surplus = append(v.surplus, r); rev != nil {
				s.ending++
			}
			continue
		}
		if s.alive++; s.alive > rev.Replicas {
			v.surplus = append(v.surplus, r)
			continue
		}
		delete(k.leaving, r.ID)
		s.stay = append(s.stay, r)
		k.count(&v, s, r, minReady)
	}
	for id := range k.steady {
		if !seen[id] {
			delete(k.steady, id)
		}
	}
	for _, s := range v.of {
		slices.Sort(s.endpoints)
	}
	return v
}

// refuse makes replicas failing that a Router could not send anything to: one
// such endpoint would keep it from all others.
func (k *keeper) refuse(replicas []Replica) {
	taken := make(map[string][]Replica, len(replicas)) // by endpoint
	for i := range replicas {
		r := &replicas[i]
		if r.State != ReplicaReady {
			continue
		}
		others := taken[r.Endpoint]
		in := slices.IndexFunc(others, func(o Replica) bool { return !k.shares(o.Revision, r.Revision) })
		switch {
		case !isAddress(r.Endpoint): // which may have a password in it
			r.State, r.Failure = ReplicaFailing, "its endpoint is no http URL of host, port and path alone"
		case in >= 0:
			r.State, r.Failure = ReplicaFailing, fmt.Sprintf("its endpoint %q is that of replica %q", r.Endpoint, others[in].ID)
		default:
			taken[r.Endpoint] = append(others, *r)
		}
	}
}

// shares reports whether two revisions may have an endpoint in common: what runs
// elsewhere can be of both. One that has left the record says nothing.
func (k *keeper) shares(a, b RevisionID) bool {
	elsewhere := func(id RevisionID) bool {
		rev := k.svc.revision(id.Run)
		return rev == nil || len(rev.Spec.Addresses) > 0
	}
	return a != b && elsewhere(a) && elsewhere(b)
}

func (k *keeper) order(r Replica) int {
	_, leaves := k.leaving[r.ID]
	switch {
	case leaves:
		return 3
	case r.State == ReplicaReady:
		return 0
	case r.State == ReplicaStarting:
		return 1
	}
	return 2
}

// fails counts a replica that stays and is not ready.
func (s *standing) fails(r Replica) {
	switch {
	case s.hopeless:
	case r.Hopeless:
		s.hopeless, s.vain = true, "can never begin: "+r.Failure
	case r.Restarts >= maxRestarts && r.Restarts > s.restarts:
		s.vain = fmt.Sprintf("began anew %d times: %s", r.Restarts, r.Failure)
	}
	s.restarts = max(s.restarts, r.Restarts)
	s.failure = cmp.Or(s.failure, r.Failure)
}

// count counts a replica that stays.
func (k *keeper) count(v *view, s *standing, r Replica, minReady time.Duration) {
	if r.State != ReplicaReady {
		delete(k.steady, r.ID)
		s.fails(r)
		return
	}
	s.ready++
	s.endpoints = append(s.endpoints, r.Endpoint)
	now := time.Now()
	was, known := k.steady[r.ID]
	if !known || r.Restarts > was.restarts {
		was = since{now, r.Restarts}
		k.steady[r.ID] = was
	}
	due := was.at.Add(minReady)
	if !now.Before(due) {
		s.steady++
	} else if v.soon.IsZero() || due.Before(v.soon) {
		v.soon = due
	}
}

// look brings a service nearer to its record: what is missing is added, and the
// Router told of what is ready. What is there to take away is in the view.
func (k *keeper) look(ctx context.Context, minReady time.Duration) (view, error) {
	replicas, err := k.c.config.Deployer.Observe(ctx, k.svc.ID)
	if err != nil {
		return view{}, fmt.Errorf("observing the replicas: %w", err)
	}
	v := k.view(replicas, minReady)
	for _, rev := range k.svc.Revisions {
		s := v.of[rev.ID.Run]
		if s.alive >= rev.Replicas {
			continue
		}
		if err := k.act(); err != nil {
			return v, err
		}
		if err := k.c.config.Deployer.Ensure(ctx, rev.ID, rev.Spec, rev.Replicas); err != nil {
			s.err = fmt.Errorf("starting replicas of version %q: %w", rev.ID.Version, err)
		}
	}
	return v, k.route(ctx, v)
}

// act says why this process must not act on the service any more.
func (k *keeper) act() error {
	if k.held.Context().Err() != nil {
		return errOvertaken
	}
	return nil
}

// errRefused reports a table that the Router does not take, and never will.
var errRefused = errors.New("rollout: the Router refuses the table")

// route sets this process's Router. What has changed since it was last set, and
// is no part of the record, raises the Generation first.
func (k *keeper) route(ctx context.Context, v view) error {
	table := k.svc.table(v.ready())
	last, known := k.c.lastTable(k.svc.ID)
	switch {
	case known && last.Generation == table.Generation && last.same(table):
		return nil
	case known && last.Generation >= table.Generation && !last.same(table):
		if err := k.raise(); err != nil {
			return err
		}
	case len(table.Split.Weights) == 0 && !known:
		return nil // nothing is there yet
	}
	err := k.set(ctx, k.svc.table(v.ready()))
	if errors.Is(err, ErrStale) { // the Router knows more than the record says
		if err := k.raise(); err != nil {
			return err
		}
		err = k.set(ctx, k.svc.table(v.ready()))
	}
	return err
}

func (k *keeper) set(ctx context.Context, t Table) error {
	if err := k.act(); err != nil {
		return err
	}
	last, known := k.c.lastTable(k.svc.ID)
	err := k.c.setTable(ctx, k.svc.ID, t)
	if errors.Is(err, ErrInvalid) {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	if err == nil && (!known || !slices.Equal(last.Split.Weights, t.Split.Weights)) {
		k.moves++
		k.moved = time.Now()
	}
	return err
}

// raise writes a new Generation.
func (k *keeper) raise() error {
	return k.save(func(run *Run, svc *Service) ([]Event, error) {
		last, _ := k.c.lastTable(svc.ID)
		svc.Generation = max(svc.Generation, last.Generation) + 1
		kind := EventService
		if run != nil {
			kind = EventProgress
		}
		return []Event{{Kind: kind, Message: "other replicas are ready"}}, nil
	})
}

// ready are the endpoints by revision.
func (v view) ready() map[string][]string {
	endpoints := map[string][]string{}
	for run, s := range v.of {
		if len(s.endpoints) > 0 {
			endpoints[run] = s.endpoints
		}
	}
	return endpoints
}

// gone are the revisions of the record of which nothing is left, and nothing
// shall be.
func (k *keeper) gone(v view) func(version, run string) bool {
	return func(_, run string) bool {
		rev, s := k.svc.revision(run), v.of[run]
		return rev != nil && rev.Replaced && rev.Replicas == 0 && (s == nil || s.alive+s.ending == 0)
	}
}

// forget takes the revisions of which nothing is left out of the record, and what
// names them out of this process's Router.
func (k *keeper) forget(ctx context.Context, v view) error {
	gone := k.gone(v)
	if !slices.ContainsFunc(k.svc.Revisions, func(r Revision) bool { return gone("", r.ID.Run) }) {
		return nil
	}
	err := k.save(func(run *Run, svc *Service) ([]Event, error) {
		if left := svc.Split.without(gone); !sameJSON(left, svc.Split) {
			svc.Split = left
			svc.Generation++
		}
		svc.Revisions = slices.DeleteFunc(svc.Revisions, func(r Revision) bool { return gone("", r.ID.Run) })
		if !slices.ContainsFunc(svc.Revisions, func(r Revision) bool { return r.Replaced }) {
			svc.KeptUntil = time.Time{}
		}
		kind := EventService
		if run != nil {
			kind = EventProgress
		}
		return []Event{{Kind: kind, Message: "what was replaced is removed"}}, nil
	})
	if err != nil {
		return err
	}
	return k.route(ctx, v)
}
