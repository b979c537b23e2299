package lease

import (
	"context"
	"errors"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/internal/sleepless"
)

// moment is a point in time by several clocks: the program's, which stands
// still while the machine sleeps, and those that go on.
type moment struct {
	at   time.Time
	goOn [2]time.Duration
}

func now() moment { return moment{time.Now(), sleepless.Clocks()} }

// deadline is when the holder may not use the lease any more, by the program's
// clock.
func (h *Held) deadline() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent.at.Add(usable(h.ttl))
}

// slept reports that the lease may have ended while the machine slept: the
// engine's clock may be one that went on. Only the engine knows; it is asked in
// vain when somebody sets the wall clock.
func (h *Held) slept() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, clock := range sleepless.Clocks() {
		if clock-h.sent.goOn[i] >= usable(h.ttl) {
			return true
		}
	}
	return false
}

// patience is how long the engine has to confirm a lease after a sleep.
func (h *Held) patience() time.Duration { return min(h.ttl/10, 5*time.Second) }

var errSlept = errors.New("the machine slept during the request")

// endAfterSleep ends a request that the machine slept over, so that another one
// asks: the answer to it may never come.
func (h *Held) endAfterSleep(request context.Context, end context.CancelFunc) {
	for !h.slept() {
		if pause.For(request, lookInterval) != nil {
			return
		}
	}
	end()
}

// look ends the lease if its time is over. A process that was stopped may come
// here before the timer that does so has fired. After a sleep, a request that
// was under way when it began may keep the next one from being sent.
func (h *Held) look() {
	var doubted *time.Timer
	for h.base.Err() == nil {
		switch {
		case !time.Now().Before(h.deadline()):
			h.cancel(ErrLost)
		case h.slept():
			if doubted == nil {
				doubted = time.AfterFunc(h.patience(), func() { h.cancel(ErrLost) })
				defer doubted.Stop()
			}
			_ = h.Confirm() // until it is, or is lost
		default:
			return
		}
	}
}

// watchful is a context of a holder that looks at the clock whenever it is
// asked.
type watchful struct {
	context.Context
	held *Held
}

type heldKey struct{}

func (c watchful) Err() error {
	c.held.look()
	return c.Context.Err()
}

// Value is also what context.Cause calls.
func (c watchful) Value(key any) any {
	if key == (heldKey{}) {
		return c.held
	}
	c.held.look()
	return c.Context.Value(key)
}

// Watchful returns a context whose Err, and context.Cause of it, look at the
// clock as those of Held.Context do, for one that is derived from such a context;
// any other it returns as it is.
func Watchful(ctx context.Context) context.Context {
	if held, ok := ctx.Value(heldKey{}).(*Held); ok {
		return watchful{ctx, held}
	}
	return ctx
}
