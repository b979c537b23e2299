package update

import (
	"context"
	"errors"
)

// Shutdown stops the work of this Updater at a safe point: it begins no step any
// more, and waits for the one that is under way. When ctx ends first, it ends
// the context of that step, as Close does, and returns the cause. In either
// case it returns when all work has returned, and a step that ignores its
// context is waited for.
//
// The runs are left as they are, and their locks are let go: whoever runs or
// starts next, in this process or another, goes on with them. A step that was
// ended so has not failed. It is begun again, if its Probe does not find
// AppliedYes, and that is no attempt which counts.
//
// Shutdown and Close may be called many times, at once, and in any order, but
// not by a step or by OnFinish, which they wait for.
func (u *Updater) Shutdown(ctx context.Context) error { return u.door.Shutdown(ctx) }

// Close is Shutdown without patience: it ends the context of a step that is
// under way at once. It never fails.
func (u *Updater) Close() error {
	u.door.Close()
	return nil
}

// background runs f on a goroutine that Shutdown and Close wait for.
func (u *Updater) background(f func()) error {
	_, leave, err := u.door.Enter(context.Background())
	if err != nil {
		return err
	}
	go func() {
		defer leave()
		f()
	}()
	return nil
}

// closedBy makes an error of what had ctx ErrClosed, if the Updater ended that.
func closedBy(ctx context.Context, err error) error {
	if errors.Is(err, errClosing) || err != nil && errors.Is(context.Cause(ctx), errClosing) {
		return ErrClosed
	}
	return err
}
