package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lease"
)

// Start validates the request, records the run and returns; the rollout goes
// on in the background and does not end with ctx. It returns ErrBusy while the
// service has a live run, and takes it up if nobody works on it; ErrUpToDate when
// nothing would change, and what Deployer.Check refuses. Numbers of replicas,
// scaling and shares change in place, anything else makes a revision.
//
// When ctx ends before Start has returned, the run may have begun all the
// same: repeat the request with its RequestID to learn that. That is how a
// program goes on after a restart, too: a Start with the RequestID of before
// returns the run that there is, done or not, and begins none.
//
// Start works on its own run alone. Run, begun before or after, does the rest:
// it sets the Router for services without a run, takes up runs that an earlier
// process has left, and replaces what dies between runs.
func (c *Controller) Start(ctx context.Context, r Request) (Run, error) {
	if err := r.check(); err != nil {
		return Run{}, err
	}
	r.By = r.By.bounded()
	if run, found, err := c.earlier(ctx, r.Service, r.By); found || err != nil {
		return run, err
	}
	if _, err := c.resolve(ctx, r); err != nil { // before anything is cancelled for it
		return Run{}, err
	}
	return c.start(ctx, r, func(ctx context.Context) (*intent, error) {
		in, err := c.resolve(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case r.Plan != "" && r.Plan != in.id():
			return nil, fmt.Errorf("%w: plan %q is not what would be done now", ErrStale, r.Plan)
		case in.upToDate():
			return nil, fmt.Errorf("%w: version %q of service %q", ErrUpToDate, in.to.Version, r.Service)
		}
		return in, nil
	})
}

// earlier finds the run of a repeated request.
func (c *Controller) earlier(ctx context.Context, s ServiceID, by By) (Run, bool, error) {
	if by.RequestID == "" {
		return Run{}, false, nil
	}
	for run, err := range c.History(ctx, Query{Service: s, RequestID: by.RequestID}) {
		return run, err == nil, err
	}
	return Run{}, false, nil
}

// start takes the lease of the service and records the run that build makes,
// once no other run is live.
func (c *Controller) start(ctx context.Context, r Request, build func(context.Context) (*intent, error)) (Run, error) {
	ctx, leave, err := c.door.Enter(ctx)
	if err != nil {
		return Run{}, ErrClosed
	}
	defer leave()
	held, err := c.free(ctx, r)
	if err != nil {
		return Run{}, err
	}
	handed := false
	defer func() { // also when the engine panics
		if !handed {
			c.release(held)
		}
	}()
	var t Transition
	id := ""
	for range 3 { // that somebody was told of a run is written without the lease
		var in *intent
		if in, err = build(ctx); err != nil {
			return Run{}, err
		}
		if id == "" {
			id = c.config.NewID()
		}
		if t, err = c.create(ctx, held, in, id); !errors.Is(err, ErrStale) {
			break
		}
	}
	if errors.Is(err, ErrExists) && t.Run != nil && r.By.RequestID != "" && t.Run.Request.By.RequestID == r.By.RequestID {
		return *t.Run, nil // the request came twice at once
	}
	if err != nil {
		return Run{}, err
	}
	handed = true
	c.log(slog.LevelInfo, "begun", *t.Run)
	run := t.Run.Clone()
	c.begin(held, *t.Run, *t.Service)
	return run, nil
}

// free returns the lease of a service that has no live run. One that is
// superseded is cancelled, and waited for.
func (c *Controller) free(ctx context.Context, r Request) (*lease.Held, error) {
	for {
		c.interrupt(r.Service)
		held, err := c.hold(ctx, r.Service)
		if err != nil && !errors.Is(err, ErrBusy) {
			return nil, err
		}
		busy, live, e := c.liveRun(ctx, r.Service)
		switch {
		case e != nil:
			c.drop(held)
			return nil, e
		case !live && held != nil:
			return held, nil
		case live && held != nil:
			if err := c.takeUp(held, busy); err != nil {
				return nil, err
			}
		}
		if !live {
			if err := c.door.Pause(ctx, 50*time.Millisecond); err != nil {
				return nil, cmp.Or(ctx.Err(), err)
			}
			continue
		}
		if !r.Supersede {
			return nil, fmt.Errorf("%w: run %q to version %q is %s", ErrBusy, busy.ID, busy.Revision.Version, busy.State)
		}
		by := r.By
		by.Reason = cut(said("superseded", by.Reason), maxReason)
		if err := c.Cancel(ctx, busy.ID, by); err != nil && !errors.Is(err, ErrStale) {
			return nil, err
		}
		if _, err := c.Wait(ctx, busy.ID); err != nil && !errors.Is(err, ErrCancelled) && !errors.Is(err, ErrFailed) {
			return nil, err
		}
	}
}

func (c *Controller) drop(held *lease.Held) {
	if held != nil {
		c.release(held)
	}
}

// liveRun returns the run of a service that is not done.
func (c *Controller) liveRun(ctx context.Context, s ServiceID) (Run, bool, error) {
	for run, err := range c.History(ctx, Query{Service: s, Live: true}) {
		return run, err == nil, err
	}
	return Run{}, false, nil
}

// create records a new run of this id.
func (c *Controller) create(ctx context.Context, held *lease.Held, in *intent, id string) (Transition, error) {
	run := in.run(id)
	l := held.Lease()
	run.Owner, run.Token = l.Owner, l.Token
	svc := in.service.Clone()
	svc.Token = max(svc.Token, l.Token)
	what := said(fmt.Sprintf("version %q", run.Revision.Version), run.Request.By.Reason)
	events := c.dress([]Event{{Kind: EventStarted, Actor: run.Request.By.Actor, Message: what}}, &run, svc)
	t := Transition{Run: &run, Service: &svc, Events: events}
	var stored Transition
	for wait := 10 * time.Millisecond; ; wait *= 3 {
		var err error
		stored, err = c.config.RunStore.Create(ctx, t)
		if errors.Is(err, ErrExists) && stored.Run != nil && stored.Run.ID == run.ID && stored.Run.Token == run.Token {
			if svc, err = c.config.RunStore.Service(ctx, svc.ID); err == nil { // the reply of an earlier try was lost
				stored.Service = &svc
			}
		}
		switch {
		case err == nil:
			run.Seq, run.Rev, run.CreatedAt, run.UpdatedAt = stored.Run.Seq, stored.Run.Rev, stored.Run.CreatedAt, stored.Run.UpdatedAt
			if stored.Service != nil {
				svc.Rev, svc.UpdatedAt = stored.Service.Rev, stored.Service.UpdatedAt
			}
			return Transition{Run: &run, Service: &svc}, nil
		case errors.Is(err, ErrExists), errors.Is(err, ErrBusy), errors.Is(err, ErrStale), errors.Is(err, ErrInvalid), wait > 3*time.Second:
			return stored, err
		}
		if err := pause.For(ctx, wait); err != nil {
			return stored, err
		}
	}
}

// run makes the record of what is intended.
func (in *intent) run(id string) Run {
	to := in.to
	if in.made {
		to.Run = id
	}
	run := Run{
		ID: id, Service: in.request.Service, Revision: to, State: StateAccepted, Before: in.service.Split.Clone(),
		Was: in.was, Split: in.service.Split.Clone(), Spec: in.spec, Strategy: in.strategy, Request: in.request, Undoes: in.undoes,
	}
	p := progress{Full: in.full(), Made: in.made, Kept: in.kept, Numbers: map[string]int{}, Aim: in.aim}
	if in.from != nil {
		run.From = in.from.ID
	}
	p.Aim = aimAt(in.service.Split, run.From, to, in.share)
	if in.undoes != "" {
		p.Aim = in.aim
		p.Aim.To, p.Aim.After = to, in.aim.After.renamed(in.aim.To, to)
	}
	if back := in.service.revision(to.Run); in.undoes != "" && back != nil && !in.kept {
		p.Full = max(back.Replicas, *in.spec.MinReplicas)
	}
	for _, rev := range in.service.Revisions {
		if in.kept && rev.ID == to {
			p.KeptUntil, p.KeptNumber = in.service.KeptUntil, rev.Replicas
		}
		if !rev.Replaced {
			p.Numbers[rev.ID.Run] = rev.Replicas
		}
	}
	p.put(&run)
	run.States = []StateRecord{{State: StateAccepted, StartedAt: time.Now().UTC().Truncate(time.Millisecond)}}
	return run
}

// renamed returns s with the share and the rules of a revision those of
// another.
func (s Split) renamed(from, to RevisionID) Split {
	s = s.Clone()
	for i := range s.Weights {
		if s.Weights[i].Run == from.Run {
			s.Weights[i].Version, s.Weights[i].Run = to.Version, to.Run
		}
	}
	for i := range s.Rules {
		if s.Rules[i].Run == from.Run && from.Run != "" {
			s.Rules[i].Version, s.Rules[i].Run = to.Version, to.Run
		}
	}
	return s
}

// Wait returns the run once it is done, with Run.Err. The run may belong to
// another process. When ctx ends first, or when this process had to give the
// run up, it returns the run so far and the error that says so.
func (c *Controller) Wait(ctx context.Context, id string) (Run, error) {
	for {
		c.mu.Lock()
		r, given := c.live[id], c.given[id] // before the record, which its end is in when there is none
		c.mu.Unlock()
		run, err := c.Get(ctx, id)
		switch {
		case err != nil && ctx.Err() != nil:
			return c.soFar(ctx, run, id), context.Cause(ctx)
		case err != nil:
			return run, err
		case run.State.Done() && r == nil:
			return run, run.Err()
		case r == nil && given != nil:
			return run, given
		case r == nil && c.door.Shut():
			return run, ErrClosed
		}
		if r == nil {
			err = pause.For(ctx, waitInterval)
		} else {
			select {
			case <-r.gone:
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		if err != nil {
			return c.soFar(ctx, run, id), err
		}
	}
}

// soFar reads a run though ctx has ended, as long as that takes no time, else it
// returns the run as it was last read.
func (c *Controller) soFar(ctx context.Context, last Run, id string) Run {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer done()
	if run, err := c.Get(ctx, id); err == nil {
		return run
	}
	return last
}

// waitInterval is how often Wait looks at a run of another process.
const waitInterval = 250 * time.Millisecond

// Roll is Start and Wait.
func (c *Controller) Roll(ctx context.Context, r Request) (Run, error) {
	run, err := c.Start(ctx, r)
	if err != nil {
		return run, err
	}
	return c.Wait(ctx, run.ID)
}
