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

// reader reads what came: every read has as long as a request may be without a
// byte, all together have their own time, and what the rate makes us wait counts
// for neither.
func (g *guard) reader(body io.Reader, all time.Duration, rate func() int64) io.Reader {
	g.timer.Stop()
	return &guarded{g: g, body: body, left: all, rate: limiter{rate: rate}}
}

type guarded struct {
	g    *guard
	body io.Reader
	left time.Duration
	rate limiter
}

func (r *guarded) Read(p []byte) (int, error) {
	size, err := r.rate.allow(r.g.ctx, len(p))
	if err != nil {
		return 0, err
	}
	if r.left <= 0 {
		return 0, fmt.Errorf("%w: it comes too slowly", ErrUnavailable)
	}
	began := time.Now()
	r.g.timer.Reset(r.g.stall)
	n, err := r.body.Read(p[:size])
	r.g.timer.Stop()
	r.left -= time.Since(began)
	r.rate.spent -= int64(size - n)
	return n, err
}
