package update

import "context"

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
// Shutdown and Close may be called many times, at once, and in any order.
func (u *Updater) Shutdown(ctx context.Context) error {
	u.stop()
	select {
	case <-u.returned: // also when ctx has ended long ago
		return nil
	default:
	}
	select {
	case <-u.returned:
		return nil
	case <-ctx.Done():
		_ = u.Close()
		return context.Cause(ctx)
	}
}

// Close is Shutdown without patience: it ends the context of a step that is
// under way at once. It never fails.
func (u *Updater) Close() error {
	u.stop()
	u.endLife(errClosing)
	<-u.returned
	return nil
}

// stop makes no further work begin, and tells when the last has returned.
func (u *Updater) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	u.closed = true
	close(u.stopping)
	go func() { // who stops waits for it
		u.work.Wait()
		close(u.returned)
	}()
}

// stops reports whether no further work may begin.
func (u *Updater) stops() bool {
	select {
	case <-u.stopping:
		return true
	default:
		return false
	}
}
