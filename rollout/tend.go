package rollout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// known is what this process knows of a service.
type known struct {
	table  *Table   // as last set at this process's Router
	record *Service // as last read
	live   bool     // it had a live run then
	stale  bool     // the record may be another one now
	asked  map[string][]sample

	touched bool // it is to be looked at
	due     time.Time
	tending bool
	stop    context.CancelFunc // ends what is done for it, for who wants its lease
	yields  func()             // ends a wait under the lease, for who wants it
	failed  int                // times in a row

	scaled   time.Time // when its use of resources was last looked at
	served   int64     // requests, as last counted
	idle     time.Time // since when that has not changed
	untold   string    // a run that has ended, and nobody was told of
	noticed  time.Time // when that was noticed
	kept     time.Time // the KeptUntil of which expires is
	expires  time.Time // by the clock of this process, which does not jump
	sleeping bool
}

// knows returns what this process knows of a service. The caller holds c.mu.
func (c *Controller) knows(id ServiceID) *known {
	k := c.services[id]
	if k == nil {
		k = &known{stale: true}
		c.services[id] = k
	}
	return k
}

// lastTable is what this process has set last.
func (c *Controller) lastTable(id ServiceID) (Table, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.services[id]
	if k == nil || k.table == nil {
		return Table{}, false
	}
	return *k.table, true
}

// setTable sets this process's Router, and remembers that.
func (c *Controller) setTable(ctx context.Context, id ServiceID, t Table) error {
	err := c.config.Router.Set(ctx, id, t)
	if errors.Is(err, ErrStale) {
		now, e := c.config.Router.Get(ctx, id)
		if e != nil {
			return errors.Join(err, e)
		}
		t = now // which another caller has set
	} else if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.knows(id); k.table == nil || k.table.Generation <= t.Generation {
		k.table = &t
	}
	return err
}

// removed reports that nothing is left of a service, and nobody waits to be told.
func (s *Service) removed() bool { return len(s.Revisions) == 0 && len(s.Untold) == 0 }

// forgettable reports that there is nothing to know of a service any more: it is
// removed, and this process's Router is told. Who begins with it anew reads all.
func (k *known) forgettable() bool {
	return k.record != nil && k.record.removed() && !k.live && !k.stale && !k.touched && k.yields == nil && k.failed == 0 &&
		k.due.IsZero() && (k.table == nil || len(k.table.Split.Weights) == 0)
}

// touch makes Run look at a service.
func (c *Controller) touch(id ServiceID) {
	c.mu.Lock()
	k := c.knows(id)
	k.touched, k.stale = true, true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// learn makes Run look at a service that is another one than it was.
func (c *Controller) learn(svc Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.services[svc.ID] == nil && svc.removed() {
		return
	}
	k := c.knows(svc.ID)
	if k.record == nil || svc.Rev != k.record.Rev {
		k.stale, k.touched = true, true
	}
}

func (c *Controller) touchAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.services {
		k.touched = true
	}
}

func (c *Controller) touchAsleep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.services {
		k.touched = k.touched || k.sleeping
	}
}

// yielding lets who wants the lease of a service end a wait, until it is over.
func (c *Controller) yielding(id ServiceID, end func()) (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.knows(id).yields = end
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.knows(id).yields = nil // who holds the lease is alone
	}
}

// interrupt ends what Run does for a service, and who only waits for what goes
// away, for who wants its lease.
func (c *Controller) interrupt(id ServiceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.services[id]; k != nil {
		for _, end := range []func(){k.stop, k.yields} {
			if end != nil {
				end()
			}
		}
	}
}

// untilDue is how long nothing is to be done, unless something changes.
func (m *minder) untilDue() time.Duration {
	c := m.c
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := time.Hour
	for _, k := range c.services {
		if !k.tending && !k.due.IsZero() {
			wait = min(wait, time.Until(k.due))
		}
	}
	return max(0, wait)
}

// tendAll begins to look after all services that are to be looked at.
func (m *minder) tendAll() {
	c, now := m.c, time.Now()
	c.mu.Lock()
	var ids []ServiceID
	for id, k := range c.services {
		if k.tending || !k.touched && (k.due.IsZero() || now.Before(k.due)) {
			continue
		}
		k.tending, k.touched, k.due = true, false, time.Time{}
		ids = append(ids, id)
	}
	c.mu.Unlock()
	for _, id := range ids {
		m.tending.Go(func() { m.handle(id) })
	}
}

// handle tends a service as soon as there is a hand free. What takes its time
// does without one, so that it keeps nobody else waiting.
func (m *minder) handle(id ServiceID) {
	select {
	case m.free <- struct{}{}:
	case <-m.ctx.Done(): // which ends it at once
		m.tend(id)
		return
	}
	release := sync.OnceFunc(func() { <-m.free })
	timer := time.AfterFunc(slow, release)
	m.tend(id)
	timer.Stop()
	release()
}

// tend looks after a service, and says when it is to be looked at again.
func (m *minder) tend(id ServiceID) {
	c := m.c
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	c.mu.Lock()
	c.knows(id).stop = cancel
	c.mu.Unlock()
	due, err := c.tend(ctx, id)
	interrupted := ctx.Err() != nil
	c.mu.Lock()
	k := c.knows(id)
	k.tending, k.stop = false, nil
	switch {
	case err != nil && !interrupted:
		if k.failed++; errors.Is(err, ErrBusy) {
			k.failed = min(k.failed, 1) // somebody has it for a moment, or is dead
		}
		k.failed = min(k.failed, 6)
		due = time.Now().Add(500 * time.Millisecond << k.failed)
	case err == nil:
		k.failed = 0
	default: // who wanted the lease may not have kept it
		due = time.Now().Add(interruptedPause)
	}
	first := k.failed == 1 && err != nil && !interrupted
	if k.due = due; err == nil && !interrupted && k.forgettable() {
		delete(c.services, id)
	}
	c.mu.Unlock()
	if first && !errors.Is(err, ErrBusy) {
		c.config.Logger.WarnContext(m.ctx, "rollout: looking after a service", "service", id.String(), "err", err)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tend brings a service that no run works on to what its record says, and this
// process's Router to that.
func (c *Controller) tend(ctx context.Context, id ServiceID) (due time.Time, err error) {
	if c.worksOn(id) {
		return due, nil
	}
	svc, live, err := c.current(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return due, nil
	}
	if err != nil {
		return due, err
	}
	see := c.keeper(nil, svc, nil)
	v, err := see.see(ctx)
	if err != nil {
		return due, err
	}
	v, unknown := see.adopt(ctx, v)
	if err := c.mirror(ctx, svc, v, live); err != nil {
		return due, err
	}
	if live {
		return due, unknown // who works on it acts
	}
	o := c.duties(ctx, svc, v)
	if len(o.replicas) > 0 || o.expire || see.lacks(v) {
		err = c.act(ctx, svc, o)
	}
	if errors.Is(err, ErrBusy) {
		err = errors.Join(err, c.mirror(ctx, svc, v, true))
	}
	err = errors.Join(err, c.untold(ctx, svc, &o))
	return o.due, err
}

// adopt tells a Deployer that starts nothing which replicas the record has, and
// returns how the service is then. It needs no lease.
func (k *keeper) adopt(ctx context.Context, v view) (view, error) {
	adopter, adopts := k.c.config.Deployer.(Adopter)
	if !adopts {
		return v, nil
	}
	var failed error
	told := false
	for _, rev := range k.svc.Revisions {
		if v.of[rev.ID.Run].alive < rev.Replicas {
			told = true
			failed = errors.Join(failed, adopter.Adopt(ctx, rev.ID, rev.Spec, rev.Replicas))
		}
	}
	if told {
		now, err := k.see(ctx)
		if err != nil {
			return v, errors.Join(failed, err)
		}
		v = now
	}
	return v, failed
}

// current returns the record of a service, and whether it has a live run.
func (c *Controller) current(ctx context.Context, id ServiceID) (Service, bool, error) {
	c.mu.Lock()
	k := c.knows(id)
	record, live, stale := k.record, k.live, k.stale
	k.stale = false
	c.mu.Unlock()
	if record != nil && !stale {
		return *record, live, nil
	}
	svc, err := c.config.RunStore.Service(ctx, id)
	if err == nil {
		_, live, err = c.liveRun(ctx, id)
		if errors.Is(err, ErrCorrupt) { // nobody can work on that, but the service serves on
			live, err = true, nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		k.stale = true
		return svc, false, err
	}
	k.record, k.live = &svc, live
	return svc, live, nil
}

// lacks reports whether replicas are missing or too many, the Router is to be
// told of others, or something of the record is gone.
func (k *keeper) lacks(v view) bool {
	for _, rev := range k.svc.Revisions {
		if s := v.of[rev.ID.Run]; s.alive < rev.Replicas {
			return true
		}
	}
	gone := k.gone(v)
	if len(v.surplus) > 0 || slices.ContainsFunc(k.svc.Revisions, func(r Revision) bool { return gone("", r.ID.Run) }) {
		return true
	}
	last, known := k.c.lastTable(k.svc.ID)
	table := k.svc.table(v.ready())
	return known && !last.same(table)
}

// mirror sets this process's Router to a record that is newer than what it has
// and, where somebody else has the lease, to what is ready here: the Generation
// is for who has it to raise.
func (c *Controller) mirror(ctx context.Context, svc Service, v view, others bool) error {
	last, known := c.lastTable(svc.ID)
	table := svc.table(v.ready())
	switch {
	case !known && len(svc.Split.Weights) == 0, known && last.Generation > table.Generation:
		return nil
	case known && last.Generation == table.Generation && (!others || last.same(table) || c.worksOn(svc.ID)):
		return nil
	case known && !table.Held && len(table.Split.Weights) > 0 && !table.serving():
		if rest := last.among(v.ready()); rest.serving() { // others have seen what this process has not
			table = rest
		}
		if table.Generation == last.Generation && last.same(table) {
			return nil
		}
	}
	err := c.setTable(ctx, svc.ID, table)
	if errors.Is(err, ErrStale) {
		return nil // a newer record was faster
	}
	return err
}

// serving reports whether a request that no Rule decides is answered.
func (t Table) serving() bool {
	return slices.ContainsFunc(t.Split.Weights, func(w Weight) bool { return w.Percent > 0 && len(t.Endpoints[w.Run]) > 0 })
}

// among returns t with those endpoints alone that are ready.
func (t Table) among(ready map[string][]string) Table {
	all := t.Endpoints
	t.Endpoints = make(map[string][]string, len(all))
	for run, endpoints := range all {
		gone := func(e string) bool { return !slices.Contains(ready[run], e) }
		if some := slices.DeleteFunc(slices.Clone(endpoints), gone); len(some) > 0 {
			t.Endpoints[run] = some
		}
	}
	return t
}
