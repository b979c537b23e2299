package firmware

import (
	"context"
	"fmt"
	"io"
	"time"
)

// guard ends the context of a request that brings no byte for some time.
type guard struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

func newGuard(ctx context.Context, stall time.Duration) *guard {
	g := &guard{stall: stall}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	g.timer = time.AfterFunc(stall, func() {
		g.cancel(fmt.Errorf("%w: no byte for %s", ErrUnavailable, stall))
	})
	return g
}

func (g *guard) stop() {
	g.timer.Stop()
	g.cancel(nil)
}

// reason is why a request failed: the guard's own, if it ended it.
func (g *guard) reason(err error) error {
	if cause := context.Cause(g.ctx); cause != nil {
		return cause
	}
	return err
}

// reader takes every byte for a sign of life, and every read that goes well: a
// feed may have read what is in front of what it was asked for.
func (g *guard) reader(r io.Reader) io.Reader { return guarded{g, r} }

type guarded struct {
	g *guard
	r io.Reader
}

func (r guarded) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 || err == nil {
		r.g.timer.Reset(r.g.stall)
	}
	return n, err
}
