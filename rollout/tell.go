package rollout

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// quiet is a context for what must be written whatever became of ctx, and soon.
func quiet(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// tell begins to tell OnFinish of a run that has ended, and to remember that it
// was told: only then. The caller has entered, or is the work on the run. Unless
// it is, somebody else may have told of it meanwhile: then it is over.
func (c *Controller) tell(run Run, works bool) {
	c.mu.Lock()
	told, known := c.telling[run.ID]
	c.telling[run.ID] = told
	c.mu.Unlock()
	if told || !known {
		c.tells.Go(func() { c.finish(run, told, works) })
	}
}

func (c *Controller) finish(run Run, told, works bool) {
	ctx, done := quiet(context.Background())
	defer done()
	if !told && !works {
		svc, err := c.config.RunStore.Service(ctx, run.Service)
		told = err == nil && !slices.Contains(svc.Untold, run.ID)
	}
	if !told {
		level := slog.LevelWarn
		if run.State == StateSucceeded {
			level = slog.LevelInfo
		}
		c.log(level, string(run.State), run)
		c.config.OnFinish(run.Clone())
		c.mu.Lock()
		c.telling[run.ID] = true
		c.mu.Unlock()
	}
	ctx, done = quiet(context.Background()) // OnFinish may have taken its time
	defer done()
	// What is not written is told once more, after a restart.
	if c.forgetUntold(ctx, run.Service, run.ID) == nil {
		c.mu.Lock()
		delete(c.telling, run.ID)
		c.mu.Unlock()
	}
}

// forgetUntold remembers that OnFinish is not to be told of a run any more.
func (c *Controller) forgetUntold(ctx context.Context, s ServiceID, run string) error {
	return c.amendService(ctx, s, func(svc *Service) error {
		i := slices.Index(svc.Untold, run)
		if i < 0 {
			return record.ErrSame
		}
		svc.Untold = slices.Delete(svc.Untold, i, i+1)
		return nil
	})
}

// amendService writes to a service that somebody else may be writing to,
// without the lease: only what is no matter of its holder.
func (c *Controller) amendService(ctx context.Context, id ServiceID, change func(*Service) error) error {
	store := c.config.RunStore
	_, err := (&record.Store[Service, Event]{
		Load: func(ctx context.Context) (Service, error) { return store.Service(ctx, id) },
		Save: func(ctx context.Context, svc Service, _ ...Event) (Service, error) {
			_, err := store.Save(ctx, Transition{Service: &svc})
			return svc, err
		},
		Rev:   func(svc Service) int64 { return svc.Rev },
		Same:  func(stored, sent Service) bool { return Transition{Service: &sent}.same(Run{}, stored) },
		Stale: ErrStale, Final: lasting,
	}).Amend(ctx, nil, func(svc *Service) ([]Event, error) { return nil, change(svc) })
	return err
}

// itemOf names the lease of a service.
func itemOf(s ServiceID) string { return lease.Item("rollout", s.Env, s.Name) }

// hold takes the lease of a service unless somebody has it: then it returns
// ErrBusy.
func (c *Controller) hold(ctx context.Context, s ServiceID) (*lease.Held, error) {
	held, err := lease.Hold(ctx, c.config.Locker, itemOf(s), lease.HoldConfig{
		Owner: c.config.Owner, TTL: c.config.LockTTL, Line: &c.line,
	})
	if errors.Is(err, lease.ErrHeld) {
		err = errors.Join(ErrBusy, err)
	}
	return held, err
}

// release ends a lease, as long as it could keep others away.
func (c *Controller) release(held *lease.Held) { _ = c.door.Insist(c.config.LockTTL, held.Release) }

// log says what happens to a run.
func (c *Controller) log(level slog.Level, what string, run Run, more ...any) {
	about := []any{"service", run.Service.String(), "run", run.ID, "version", run.Revision.Version}
	for _, a := range []struct{ key, value string }{
		{"undoes", run.Undoes}, {"actor", run.Request.By.Actor}, {"reason", run.Reason},
	} {
		if a.value != "" {
			about = append(about, a.key, a.value)
		}
	}
	c.config.Logger.Log(context.Background(), level, "rollout: "+what, append(about, more...)...)
}
