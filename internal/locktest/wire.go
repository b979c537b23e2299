package locktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// ErrCut is for a connection that is cut.
var ErrCut = errors.New("the network is gone")

// Wire is a Locker whose connection can be cut: before a request arrives, or
// after it did, so that only the reply is lost. It can also be slow.
type Wire struct {
	lease.Locker
	mu            sync.Mutex
	before, after error
	release       error // of Release, which does nothing then
	delay         time.Duration
}

// Set cuts the connection before requests arrive, or after, and delays replies.
func (w *Wire) Set(before, after error, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before, w.after, w.delay = before, after, delay
}

// BreakRelease makes Release do nothing but fail.
func (w *Wire) BreakRelease(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release = err
}

// Pass calls f through the connection.
func (w *Wire) Pass(f func() error) error {
	w.mu.Lock()
	before, after, delay := w.before, w.after, w.delay
	w.mu.Unlock()
	if before != nil {
		return before
	}
	err := f()
	time.Sleep(delay)
	if after != nil {
		return after
	}
	return err
}

// Acquire implements lease.Locker.
func (w *Wire) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (own lease.Lease, err error) {
	err = w.Pass(func() (err error) { own, err = w.Locker.Acquire(ctx, item, owner, ttl); return err })
	return own, err
}

// Renew implements lease.Locker.
func (w *Wire) Renew(ctx context.Context, old lease.Lease, ttl time.Duration) (own lease.Lease, err error) {
	err = w.Pass(func() (err error) { own, err = w.Locker.Renew(ctx, old, ttl); return err })
	return own, err
}

// Release implements lease.Locker.
func (w *Wire) Release(ctx context.Context, own lease.Lease) error {
	w.mu.Lock()
	fault := w.release
	w.mu.Unlock()
	if fault != nil {
		return fault
	}
	return w.Locker.Release(ctx, own)
}
