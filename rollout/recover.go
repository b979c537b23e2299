package rollout

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

const (
	// listInterval is how often Run reads all services, in case that it was not
	// told of something.
	listInterval = time.Minute
	// liveInterval is how often Run looks for runs that nobody works on, at most.
	liveInterval = 5 * time.Second
	// sweepInterval is the shortest time between two looks at all services.
	sweepInterval = 100 * time.Millisecond
	// againInterval is how soon Run reads all services again that it could not
	// read, or may have missed something of.
	againInterval = 2 * time.Second
	// hands is how many services are looked after at once, but for those that
	// take longer than slow.
	hands = 8
	slow  = time.Second
	// interruptedPause is for how long who wants the lease of a service has the
	// first right to it.
	interruptedPause = 500 * time.Millisecond
)

// Run sets this process's Router from the record of every service, takes up
// runs that nobody works on, and keeps services as they should be: replicas
// that died, scaling, a service that was asked for while it was stopped. It
// blocks, and does nothing when nothing changes. What fails is logged and tried
// again. It returns ctx's cause once ctx has ended, and ErrClosed once the
// Controller is shut down. Runs that Start has begun do not end with ctx.
func (c *Controller) Run(ctx context.Context) error {
	ctx, leave, err := c.door.Enter(ctx)
	if err != nil {
		return ErrClosed
	}
	defer leave()
	working, done := c.door.Until(ctx)
	defer done()
	m := &minder{
		c: c, ctx: working, free: make(chan struct{}, hands), missed: make(chan struct{}, 1), failing: map[string]bool{},
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(m.follow)
	m.loop()
	m.tending.Wait()
	if cause := context.Cause(ctx); cause != nil && !c.door.Shut() {
		return cause
	}
	return ErrClosed
}

// minder looks after all services.
type minder struct {
	c       *Controller
	ctx     context.Context
	free    chan struct{} // hands
	tending sync.WaitGroup
	missed  chan struct{}   // has a value when events may be missing
	failing map[string]bool // what was logged last
}

func (m *minder) loop() {
	deployed, asked := m.c.config.Deployer.Changed(m.ctx), m.c.config.Router.Changed(m.ctx)
	listed, live := time.NewTimer(m.readAll()), time.NewTimer(m.takeUp())
	swept := time.Time{}
	for m.tendAll(); m.ctx.Err() == nil; m.tendAll() {
		due := time.NewTimer(max(m.untilDue(), time.Millisecond))
		select {
		case <-m.ctx.Done():
		case _, more := <-deployed:
			if !more {
				deployed = nil
			}
			m.wait(sweepInterval - time.Since(swept))
			swept = time.Now()
			m.c.touchAll()
		case _, more := <-asked:
			if !more {
				asked = nil
			}
			m.c.touchAsleep()
		case <-m.c.wake:
		case <-due.C:
		case <-live.C:
			live.Reset(m.takeUp())
		case <-listed.C:
			listed.Reset(m.readAll())
		case <-m.missed: // now, and once more when events come again
			m.log("reading the services", m.list())
			listed.Reset(againInterval)
		}
		due.Stop()
	}
	listed.Stop()
	live.Stop()
}

// takeUp takes up what nobody works on, and returns when it is done again.
func (m *minder) takeUp() time.Duration {
	m.log("taking up runs", m.takeUpAll())
	return min(liveInterval, m.c.config.LockTTL/3)
}

// readAll reads all services, and returns when it is done again.
func (m *minder) readAll() time.Duration {
	err := m.list()
	if m.log("reading the services", err); err != nil {
		return againInterval
	}
	return listInterval
}

func (m *minder) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.ctx.Done():
	}
}

// follow learns which services change. After an error it goes on behind the last
// event, or has all services read.
func (m *minder) follow() {
	after, wait := int64(-1), time.Second
	for ; m.ctx.Err() == nil; m.wait(wait) {
		wait = min(2*wait, 8*time.Second)
		for e, err := range m.c.config.RunStore.Watch(m.ctx, after) {
			if err != nil {
				if m.ctx.Err() == nil && !errors.Is(err, ErrCompacted) {
					m.c.config.Logger.WarnContext(m.ctx, "rollout: watching", "err", err)
				}
				if errors.Is(err, ErrCompacted) {
					after = -1
				}
				break
			}
			after, wait = e.Seq, time.Second
			m.c.touch(e.Service)
		}
		select {
		case m.missed <- struct{}{}:
		default:
		}
	}
}

// list reads all services.
func (m *minder) list() error {
	for svc, err := range m.c.config.RunStore.Services(m.ctx, ServiceQuery{}) {
		if errors.Is(err, ErrCorrupt) {
			m.c.config.Logger.ErrorContext(m.ctx, "rollout: a service cannot be read", "service", svc.ID.String(), "err", err)
			continue
		}
		if err != nil {
			return err
		}
		m.c.learn(svc)
	}
	return nil
}

// takeUpAll works on the runs that nobody works on.
func (m *minder) takeUpAll() error {
	var left []Run
	for run, err := range m.c.History(m.ctx, Query{Live: true}) {
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			return err
		}
		if !m.c.works(run.ID) {
			left = append(left, run)
		}
	}
	var failed error
	for _, run := range left {
		held, err := m.c.hold(m.ctx, run.Service)
		if errors.Is(err, ErrBusy) {
			continue // somebody works on it
		}
		if err == nil {
			err = m.c.takeUp(held, run)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// works reports whether this process works on a run.
func (c *Controller) works(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[id] != nil
}

// takeUp works on a run that a dead process has left, in the background. It
// takes over held.
func (c *Controller) takeUp(held *lease.Held, run Run) error {
	svc, err := c.config.RunStore.Service(held.Context(), run.Service)
	if err == nil {
		run, err = c.config.RunStore.Get(held.Context(), run.ID)
	}
	if err != nil || run.State.Done() {
		c.release(held)
		return err
	}
	k := c.keeper(held, svc, &run)
	done := false
	err = k.save(func(run *Run, _ *Service) ([]Event, error) {
		if done = run.State.Done(); done {
			return nil, record.ErrSame
		}
		return []Event{{Kind: EventRecovered, Message: "left by the process " + run.Owner}}, nil
	})
	if err != nil || done {
		c.release(held)
		return err
	}
	c.log(slog.LevelInfo, "taken up", *k.run)
	c.begin(held, *k.run, k.svc)
	return nil
}

// log says what fails, once.
func (m *minder) log(what string, err error) {
	if err == nil || m.ctx.Err() != nil {
		delete(m.failing, what)
		return
	}
	if !m.failing[what] {
		m.failing[what] = true
		m.c.config.Logger.ErrorContext(m.ctx, "rollout: "+what, "err", err)
	}
}
