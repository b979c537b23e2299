package update

import (
	"context"
	"errors"

	"github.com/upkeep-go/upkeep/lease"
)

// begin takes the lock of p, settles what a dead process left under it,
// records the run that build makes and works on it in the background.
func (u *Updater) begin(
	ctx context.Context, p *Package, wait bool, build func(context.Context) (Run, error),
) (Run, error) {
	type answer struct {
		run Run
		err error
	}
	started := make(chan answer, 1)
	err := u.background(func() {
		held, settled, err := u.lockSettled(ctx, p, wait)
		if err != nil {
			started <- answer{err: err}
			u.report(settled...)
			return
		}
		r, err := u.admit(ctx, p, held, build)
		if err != nil {
			err = errors.Join(err, u.release(held))
			started <- answer{r.run, err}
			u.report(settled...)
			return
		}
		started <- answer{r.run.Clone(), nil}
		u.finish(r, settled)
	})
	if err != nil {
		return Run{}, err
	}
	select {
	case a := <-started:
		if errors.Is(a.err, errRepeated) {
			return a.run, nil
		}
		return a.run, a.err
	case <-ctx.Done():
		return Run{}, context.Cause(ctx)
	}
}

// admit builds the run and records it under held.
func (u *Updater) admit(
	ctx context.Context, p *Package, held *lease.Held, build func(context.Context) (Run, error),
) (*runner, error) {
	building, done := context.WithCancelCause(held.Context())
	defer done(nil)
	defer context.AfterFunc(ctx, func() { done(context.Cause(ctx)) })()
	defer context.AfterFunc(u.door.Ending(), func() { done(errClosing) })()
	var run Run
	err := protect(func() (err error) {
		run, err = build(building)
		return err
	})
	if err != nil {
		return &runner{}, closedBy(building, err)
	}
	if err := context.Cause(ctx); err != nil {
		return &runner{}, err // nobody waits for the answer any more
	}
	if u.door.Shut() {
		return &runner{}, ErrClosed
	}
	run.Token, run.Owner = held.Lease().Token, held.Lease().Owner
	r := u.newRunner(p, held, run)
	return r, r.create()
}
