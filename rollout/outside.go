package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Times of the functions of the application: how long one may take, and for how
// long it is waited for once its context has ended.
const (
	gateTime    = 30 * time.Second
	measureTime = 30 * time.Second
	farewell    = 5 * time.Second
)

var (
	errSilent = errors.New("it has not returned")
	errWished = errors.New("somebody has decided meanwhile")
)

// stranger is a call of a function of the application, which may never return.
type stranger struct {
	done chan struct{}
	err  error // once done
}

// call names a function that is called for a run.
type call struct{ run, name string }

// outside begins a call, unless the last one of that name has not returned, in
// this work on the run or an earlier one of this process: that it returns too.
// Shutdown waits for it as long as it can.
func (r *runner) outside(name string, f func() error) (s *stranger, begun bool) {
	c, this := r.c, call{r.id, name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := c.calls[this]; last != nil {
		return last, false
	}
	s = &stranger{done: make(chan struct{})}
	c.calls[this] = s
	c.tells.Go(func() {
		defer close(s.done)
		s.err = f()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.calls, this)
	})
	return s, true
}

// returns waits, for a limited time, for a call that an earlier work on the run
// has left behind.
func (r *runner) returns(name string, limit time.Duration) error {
	r.c.mu.Lock()
	last := r.c.calls[call{r.id, name}]
	r.c.mu.Unlock()
	if last == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ahead, limit)
	defer cancel()
	return r.upkeep(ctx, last.done, never)
}

func (s *stranger) returned() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// leave waits for a function whose context has ended, but not for long.
func (s *stranger) leave() error {
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err
	case <-timer.C:
		return errSilent
	}
}

// ask calls a function, for a limited time, and looks after the service until it
// returns, or enough says that nobody wants to know any more: then errWished. An
// error that is unwritten is not the function's.
func (r *runner) ask(name string, limit time.Duration, f func(context.Context) error, enough func() bool) error {
	ctx, cancel := context.WithTimeout(r.ahead, limit)
	defer cancel()
	s, begun := r.outside(name, func() error { return f(ctx) })
	if !begun {
		return fmt.Errorf("%w since it was last called", errSilent)
	}
	failed := r.upkeep(ctx, s.done, enough)
	gaveUp := failed == nil && ctx.Err() == nil && !s.returned()
	cancel()
	err := s.leave()
	switch {
	case failed != nil:
		return failed
	case gaveUp:
		return errWished
	case errors.Is(err, errSilent):
		return fmt.Errorf("%w within %s", err, limit)
	}
	return err
}

// never is enough of what is waited for in any case.
func never() bool { return false }

// gate asks the Gate, until somebody decides. Nothing holds a way back.
func (r *runner) gate() error {
	if r.c.config.Gate == nil || r.k.run.Undoes != "" {
		return nil
	}
	run, wish := r.k.run.Clone(), valueOf(r.wished())
	err := r.ask("gate", gateTime, func(ctx context.Context) error { return r.c.config.Gate(ctx, run) }, func() bool {
		now := r.wished()
		return r.c.door.Shut() || now != nil && *now != wish
	})
	if errors.Is(err, errSilent) {
		return fmt.Errorf("the Gate does not answer: %w", err)
	}
	return err
}

// verdict asks an analysis, for a limited time. The last call of it may be one
// of an earlier step that has not returned yet.
func (r *runner) verdict(ctx context.Context, a Analysis, s Scope) (m Measurement) {
	var found Measurement
	name, call := "analysis "+a.Name, func() (err error) { found, err = a.Measure(ctx, s); return err }
	asked, begun := r.outside(name, call)
	for ; !begun && ctx.Err() == nil; asked, begun = r.outside(name, call) {
		select {
		case <-asked.done:
		case <-ctx.Done():
		}
	}
	err := fmt.Errorf("%w since it was last asked", errSilent)
	if begun {
		select {
		case <-asked.done:
		case <-ctx.Done():
		}
		if err = asked.leave(); errors.Is(err, errSilent) {
			err = fmt.Errorf("%w within %s", err, measureTime)
		} else {
			m = found
		}
	}
	if err != nil {
		m.Verdict, m.Reason = VerdictError, err.Error()
	}
	m.Name, m.Time = a.Name, time.Now().UTC().Truncate(time.Millisecond)
	return m.bounded()
}
