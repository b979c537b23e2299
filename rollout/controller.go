package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/lease"
)

// Controller rolls services. It is safe for concurrent use, and by several
// processes on one Store: one of them acts on a service at a time, and each
// sets its own Router from the service's record.
type Controller struct {
	config Config
	door   *closing.Door
	line   lease.Line    // of those who wait for a service
	wake   chan struct{} // has a value when Run is to look at something

	mu       sync.Mutex
	services map[ServiceID]*known // what this process knows of services
	live     map[string]*runner   // by run: what this process works on
	given    map[string]error     // by run: why this process works on it no more
	calls    map[call]*stranger   // of functions of the application, that have not returned
	telling  map[string]bool      // runs of which OnFinish is told, and true once it was, until that is written
	tells    sync.WaitGroup       // of OnFinish, and of other functions of the application
}

const (
	defaultLockTTL    = 30 * time.Second
	defaultSleepAfter = 5 * time.Minute
)

// New returns a Controller. It starts nothing: see Run.
func New(c Config) (*Controller, error) {
	if c.Store != nil {
		if c.Locker == nil {
			c.Locker = c.Store.Locker()
		}
		if c.RunStore == nil {
			c.RunStore = c.Store.Rollouts()
		}
	}
	var missing []string
	for _, f := range []struct {
		name string
		is   bool
	}{{"Store", c.Locker == nil || c.RunStore == nil}, {"Deployer", c.Deployer == nil}, {"Router", c.Router == nil}} {
		if f.is {
			missing = append(missing, "Config."+f.name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrMissing, strings.Join(missing, ", "))
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.RunStore = sound{c.RunStore}
	if c.LockTTL == 0 {
		c.LockTTL = defaultLockTTL
	}
	if c.SleepAfter == 0 {
		c.SleepAfter = defaultSleepAfter
	}
	if c.Owner == "" {
		host, _ := os.Hostname()
		c.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if c.NewID == nil {
		c.NewID = newID
	}
	if c.OnFinish == nil {
		c.OnFinish = func(Run) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Controller{
		config: c, door: closing.NewDoor(ErrClosed, errClosing), wake: make(chan struct{}, 1), services: map[ServiceID]*known{},
		live: map[string]*runner{}, given: map[string]error{}, telling: map[string]bool{}, calls: map[call]*stranger{},
	}, nil
}

// check refuses a Config that cannot work.
func (c Config) check() error {
	if c.LockTTL != 0 && c.LockTTL < time.Second {
		return fmt.Errorf("%w: Config.LockTTL %s is shorter than a second", ErrInvalid, c.LockTTL)
	}
	if c.SleepAfter != 0 && (c.SleepAfter < time.Second || c.SleepAfter > maxDuration) {
		return invalid("Config.SleepAfter", "%s is not from %s to %s", c.SleepAfter, time.Second, maxDuration)
	}
	names := map[string]bool{}
	if len(c.Analyses) > maxFunctions {
		return invalid("Config.Analyses", "are %d, at most %d are allowed", len(c.Analyses), maxFunctions)
	}
	for _, a := range c.Analyses {
		if err := errors.Join(
			plain("Config.Analyses.Name", a.Name, maxName), lasts("Config.Analyses.Interval", a.Interval),
			within("Config.Analyses.From", a.From, 0, maxSteps),
		); err != nil {
			return err
		}
		if a.Name == "" || a.Measure == nil || names[a.Name] || a.Name == ownAnalysis {
			return fmt.Errorf("%w: Config.Analyses: %q needs a Measure and a name of its own", ErrInvalid, a.Name)
		}
		names[a.Name] = true
	}
	for field, hooks := range map[string][]Hook{"Before": c.Before, "AfterStep": c.AfterStep, "After": c.After} {
		names := map[string]bool{}
		if len(hooks) > maxFunctions {
			return invalid("Config."+field, "are %d, at most %d are allowed", len(hooks), maxFunctions)
		}
		for _, h := range hooks {
			if err := errors.Join(plain("Config."+field+".Name", h.Name, maxName), lasts("Config."+field+".Timeout", h.Timeout)); err != nil {
				return err
			}
			if h.Name == "" || h.Do == nil || names[h.Name] {
				return fmt.Errorf("%w: Config.%s: %q needs a Do and a name of its own", ErrInvalid, field, h.Name)
			}
			names[h.Name] = true
		}
	}
	return c.Strategy.check("Config.Strategy")
}

// Get returns a run, or ErrNotFound.
func (c *Controller) Get(ctx context.Context, id string) (Run, error) {
	return c.config.RunStore.Get(ctx, id)
}

// Status returns the present of a service, or ErrNotFound.
func (c *Controller) Status(ctx context.Context, s ServiceID) (Status, error) {
	svc, err := c.config.RunStore.Service(ctx, s)
	if err != nil {
		return Status{}, err
	}
	st := Status{Service: svc}
	switch run, live, err := c.liveRun(ctx, s); {
	case err != nil:
		return Status{}, err
	case live:
		st.Run = &run
	case len(svc.Revisions) == 0:
		return Status{}, noService(s)
	}
	switch table, err := c.config.Router.Get(ctx, s); {
	case err == nil:
		st.Split = table.Split
	case !errors.Is(err, ErrNotFound):
		return Status{}, err
	}
	if st.Replicas, err = c.config.Deployer.Observe(ctx, s); err != nil {
		return Status{}, err
	}
	st.Stats, err = c.config.Router.Stats(ctx, s)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrNotFound) {
		err = nil
	}
	return st, err
}

// service returns a service that there is.
func (c *Controller) service(ctx context.Context, id ServiceID) (Service, error) {
	svc, err := c.config.RunStore.Service(ctx, id)
	if err == nil && len(svc.Revisions) == 0 {
		err = noService(id)
	}
	return svc, err
}

// Services yields services in the order of their names, and stops after an
// error. But one that cannot be read comes with ErrCorrupt and its ID, and the
// list goes on.
func (c *Controller) Services(ctx context.Context, q ServiceQuery) iter.Seq2[Service, error] {
	return func(yield func(Service, error) bool) {
		for svc, err := range c.config.RunStore.Services(ctx, q) {
			if err == nil && len(svc.Revisions) == 0 {
				continue
			}
			if !yield(svc, err) || err != nil && !errors.Is(err, ErrCorrupt) {
				return
			}
		}
	}
}

// Logs returns the last output of a revision's replicas: bytes, as they were
// written, each line after the name of its replica. A Tail below 0 or above a
// million is ErrInvalid.
func (c *Controller) Logs(ctx context.Context, id RevisionID, q LogQuery) (io.ReadCloser, error) {
	if err := within("Tail", q.Tail, 0, maxTail); err != nil {
		return nil, err
	}
	return c.config.Deployer.Logs(ctx, id, q)
}

// History yields runs, newest first, and stops after an error. Those that have
// succeeded are the snapshots.
func (c *Controller) History(ctx context.Context, q Query) iter.Seq2[Run, error] {
	return c.config.RunStore.History(ctx, q)
}

// Watch yields every event with a Seq greater than after, in order, losing
// none, and waits for more until ctx ends or the caller breaks. A negative
// after starts with the next event. The last pair has an error: ctx's, or
// ErrCompacted when events that follow after are no longer kept, or after is of
// another history, such as one from before a restore. Engines keep events for
// 30 days and 100,000 of them.
func (c *Controller) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return c.config.RunStore.Watch(ctx, after)
}

// Follow yields the events of one run from its first on, and ends with its
// last. The promises of Watch hold.
func (c *Controller) Follow(ctx context.Context, id string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		run, err := c.Get(ctx, id)
		if err == nil && run.Seq == 0 {
			err = fmt.Errorf("%w: run %q has none", ErrCompacted, id)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		for e, err := range c.Watch(ctx, run.Seq-1) {
			if err == nil && e.Run != id {
				continue
			}
			if !yield(e, err) || err != nil || e.Kind == EventEnded {
				return
			}
		}
	}
}

// Shutdown stops the runs of this Controller between two transitions and waits
// for them until ctx ends; then it ends their contexts. They are left for Run,
// here or in another process; services go on as they are. It waits for OnFinish
// too, and for what else of the application has not returned though its context
// has ended, until ctx ends.
//
// Afterwards what acts returns ErrClosed: Start, Roll, Rollback, Shift, Hold,
// Open, Remove, RemoveService and Run, and Wait for a run that is left. What reads goes on, and
// so do Pause, Resume, Promote and Cancel, which write a wish for the process
// that takes the run up.
func (c *Controller) Shutdown(ctx context.Context) error {
	if err := c.door.Shutdown(ctx); err != nil {
		return err
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		c.tells.Wait() // nothing begins any more
	}()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close is Shutdown without patience: what does not return within five seconds of
// the end of its context is left behind. It may be called twice.
func (c *Controller) Close() error {
	c.door.Close()
	return nil
}
