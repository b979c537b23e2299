package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

const (
	defaultTTL = 3 * time.Minute
	// pollInterval is how often a waiter looks for a release by another process.
	pollInterval = 10 * time.Millisecond
	// releaseTimeout bounds the calls that clean up after a cancelled context.
	releaseTimeout = 10 * time.Second
	// lookInterval is how soon a holder notices that the machine has slept.
	lookInterval = time.Second
)

// HoldConfig configures Hold. A zero field means its documented default.
type HoldConfig struct {
	// Owner names the holder, for people, in at most 1,017 bytes; "#" and six
	// random letters and digits, which are added, tell apart two holders of one
	// name. Default: host name and process id.
	Owner string
	TTL   time.Duration // how long the lease of a dead holder lasts; default 3 minutes
	Wait  bool          // wait for the item until ctx ends, or the engine fails; default: ErrHeld at once
	// Line is where those wait who share it: each gets the item in its turn, as
	// soon as one of them who held it lets go. Default: a line for this call
	// alone, so that Wait looks every 10 milliseconds.
	Line *Line
}

// Held is a lease that is kept alive.
type Held struct {
	locker Locker
	line   *Line
	ttl    time.Duration
	base   context.Context // ends with the lease, by cancel
	ctx    context.Context // base, and looks at the clock
	cancel context.CancelCauseFunc
	expiry *time.Timer     // calls cancel at the local deadline
	check  chan chan error // asks keep to renew now, and to say when it has
	kept   chan struct{}   // closed when keep has returned

	mu    sync.Mutex
	lease Lease
	sent  moment // before the request that made it last

	releasing sync.Mutex
	released  bool
}

// Hold acquires item and renews the lease until Release. Ctx bounds the
// acquisition only; when it ends that, the error is its cause. With Wait, those
// who share a Line get the item in the order in which they came, each as soon as
// the one before lets go; a release by anybody else is seen within 10
// milliseconds. Held.Context has the values of ctx, but does not end with it.
//
// The goroutine that renews ends with Release, which the caller owes.
func Hold(ctx context.Context, l Locker, item string, c HoldConfig) (*Held, error) {
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.Line == nil {
		c.Line = new(Line)
	}
	a := attempt{locker: l, line: c.Line, item: item, owner: uniqueOwner(c.Owner), ttl: c.TTL}
	acquire := a.once
	if c.Wait {
		acquire = a.wait
	}
	lease, sent, err := acquire(ctx)
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		err = context.Cause(ctx) // which says more than an engine that was asked
	}
	if err != nil {
		return nil, fmt.Errorf("hold %q: %w", item, err)
	}
	return a.keepAlive(ctx, lease, sent), nil
}

// usable is the part of a lease's time that its holder may use. The rest is
// for clocks that do not run alike, and for the holder to notice.
func usable(ttl time.Duration) time.Duration { return ttl - ttl/10 }

func (a attempt) keepAlive(ctx context.Context, lease Lease, sent moment) *Held {
	h := &Held{
		locker: a.locker, line: a.line, ttl: a.ttl, lease: lease, sent: sent,
		check: make(chan chan error), kept: make(chan struct{}),
	}
	h.base, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	h.ctx = watchful{h.base, h}
	h.expiry = time.AfterFunc(time.Until(h.deadline()), func() { h.cancel(ErrLost) })
	go h.keep()
	return h
}

// Context ends with the cause ErrLost before anybody else can hold the item,
// by a local monotonic deadline measured from before the last request; with
// context.Canceled on Release.
//
// Its Err, and context.Cause of it, look at the clock: in a process that was
// stopped and goes on, or on a machine that slept, they tell of the end before
// Done is closed. After a sleep that may have outlasted the lease they wait
// until the lease is confirmed, for a tenth of its time-to-live but at most 5
// seconds, and end the context if it is not. Contexts that are derived from it
// learn of the end by Done, a moment later, unless Watchful made them look as
// well, so that what must not be done by a holder that lost the item asks this
// one first. A process may be stopped right after it has asked: what must not be
// done then either takes the Token of Lease along, for its receiver to compare.
// The context has no Deadline, since each renewal would move it.
func (h *Held) Context() context.Context { return h.ctx }

// Lease returns the lease as last renewed. Its token does not change.
func (h *Held) Lease() Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease
}

// Release ends the lease and its context, and waits for the renewing
// goroutine. An error of the engine is met by three more tries within a second.
// It may be called again: after an error, to try once more, because otherwise
// the lease ends only within its TTL; else it does nothing. It may be called
// when the lease is lost.
func (h *Held) Release() error {
	h.releasing.Lock()
	defer h.releasing.Unlock()
	if h.released {
		return nil
	}
	h.cancel(context.Canceled)
	<-h.kept
	h.expiry.Stop() // which keep may have set once more
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.base), releaseTimeout)
	defer cancel()
	h.line.next(h.lease.Item) // whose request may share the commit of our release
	err := h.locker.Release(ctx, h.Lease())
	for wait := 50 * time.Millisecond; err != nil && wait < time.Second && ctx.Err() == nil; wait *= 3 {
		time.Sleep(wait)
		err = h.locker.Release(ctx, h.Lease())
	}
	h.line.next(h.lease.Item)
	if err != nil {
		return fmt.Errorf("release %q: %w", h.lease.Item, err)
	}
	h.released = true
	return nil
}

// Confirm renews the lease now. It is for the moment before an effect that
// cannot be fenced. It returns ErrLost when the lease has ended, also while the
// engine does not answer, context.Canceled when it was released, and any other
// error of the engine when that did not renew it, which leaves the lease as it
// was.
func (h *Held) Confirm() error {
	renewed := make(chan error, 1)
	var err error
	select {
	case h.check <- renewed:
		select {
		case err = <-renewed:
		case <-h.base.Done():
		}
	case <-h.base.Done():
	}
	if err != nil && h.base.Err() == nil {
		return fmt.Errorf("confirm %q: %w", h.Lease().Item, err)
	}
	return context.Cause(h.base)
}

// keep renews at a third of the time-to-live, oftener after an error, and at
// once after a sleep, until the lease is lost or released.
func (h *Held) keep() {
	defer close(h.kept)
	wait, doubted := h.ttl/3, time.Time{}
	for {
		asked, goOn := h.untilDue(wait)
		if !goOn {
			return
		}
		deadline, slept := h.deadline(), h.slept()
		switch {
		case !slept:
			doubted = time.Time{}
		case doubted.IsZero():
			doubted = time.Now()
		}
		if last := doubted.Add(h.patience()); slept && last.Before(deadline) {
			deadline = last
		}
		err := h.renew(deadline)
		switch {
		case err == nil:
			wait = h.ttl / 3
		case errors.Is(err, ErrLost), !time.Now().Before(deadline):
			h.cancel(ErrLost)
		default:
			wait = h.ttl / 30
			if slept {
				_ = pause.For(h.base, h.ttl/300) // for whoever waits for it
			}
		}
		if asked != nil {
			asked <- err
		}
	}
}

// untilDue waits until it is time to renew, and returns who asked for that, if
// anybody did; not ok is the end of the lease.
func (h *Held) untilDue(wait time.Duration) (asked chan error, ok bool) {
	due := time.Now().Add(wait)
	for {
		timer := time.NewTimer(min(time.Until(due), lookInterval))
		select {
		case <-h.base.Done():
			timer.Stop()
			return nil, false
		case asked = <-h.check:
			timer.Stop()
			return asked, true
		case <-timer.C:
		}
		if !time.Now().Before(due) || h.slept() {
			return nil, true
		}
	}
}

// renew asks for more time. An answer that came too late to be of use is ErrLost.
func (h *Held) renew(deadline time.Time) error {
	sent := now()
	ctx, cancel := context.WithDeadline(h.base, deadline)
	defer cancel()
	if !h.slept() {
		defer time.AfterFunc(lookInterval, func() { h.endAfterSleep(ctx, cancel) }).Stop()
	}
	lease, err := h.locker.Renew(ctx, h.Lease(), h.ttl)
	if errors.Is(err, context.Canceled) && h.base.Err() == nil {
		return errSlept
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.lease, h.sent = lease, sent
	h.mu.Unlock()
	left := time.Until(h.deadline())
	if left <= 0 {
		return ErrLost
	}
	h.expiry.Reset(left)
	return nil
}

// attempt is one call of Hold on its way to a lease.
type attempt struct {
	locker      Locker
	line        *Line
	item, owner string
	ttl         time.Duration
}

// once asks for the lease and returns it with the time before the request. Once
// ctx has ended, nobody is asked.
func (a attempt) once(ctx context.Context) (Lease, moment, error) {
	sent := now()
	if ctx.Err() != nil {
		return Lease{}, sent, context.Cause(ctx)
	}
	lease, err := a.locker.Acquire(ctx, a.item, a.owner, a.ttl)
	switch {
	case err == nil && time.Since(sent.at) < usable(a.ttl):
		return lease, sent, nil
	case err == nil:
		err = fmt.Errorf("%w: the reply took %s", ErrLost, time.Since(sent.at))
	case errors.Is(err, ErrHeld), errors.Is(err, ErrInvalid):
		return Lease{}, sent, err
	}
	a.dropGhost(ctx)
	return Lease{}, sent, err
}

// dropGhost releases the lease that a failed request may have taken.
func (a attempt) dropGhost(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(releaseTimeout, a.ttl))
	defer cancel()
	if ghost, err := a.locker.Holder(ctx, a.item); err == nil && ghost.Owner == a.owner {
		// If this fails too, the lease ends by itself: nobody renews it.
		_ = a.locker.Release(ctx, ghost)
	}
}

// wait queues behind the waiters of this process and, once first, asks
// whenever the item may be free.
func (a attempt) wait(ctx context.Context) (Lease, moment, error) {
	w := a.line.join(a.item)
	defer w.leave()
	for {
		select {
		case <-ctx.Done():
			return Lease{}, moment{}, context.Cause(ctx)
		case <-w.turn:
		}
		lease, sent, err := a.once(ctx)
		if !errors.Is(err, ErrHeld) {
			return lease, sent, err
		}
		if err := a.untilFree(ctx, w); err != nil {
			return Lease{}, moment{}, err
		}
	}
}

// untilFree returns when the item looks free and it is still w's turn.
func (a attempt) untilFree(ctx context.Context, w *waiter) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.turn:
			w.again()
			return nil
		case <-tick.C:
		}
		switch _, err := a.locker.Holder(ctx, a.item); {
		case errors.Is(err, ErrFree):
			w.again()
			return nil
		case err != nil:
			return err
		}
	}
}

// defaultOwner names this process.
func defaultOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

func uniqueOwner(name string) string {
	if name == "" {
		name = defaultOwner()
	}
	return name + "#" + strings.ToLower(rand.Text()[:6])
}
