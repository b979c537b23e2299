package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// maxAddresses bounds how many addresses with failed logins are remembered.
const maxAddresses = 10_000

// loginLimiter slows down guessing: a bucket of tries for each address, filled
// up at a steady rate. A credential that is being checked has one of the tries
// and keeps it only if it is bad, so that guesses at the same time are no more
// than guesses one after another. Addresses are kept in two generations; when
// the young one is full it becomes the old one, and the old one is forgotten.
type loginLimiter struct {
	perMinute int // 0: no limit
	log       *slog.Logger

	mu         sync.Mutex
	young, old map[string]bucket
	trying     map[string]*attempts // addresses with credentials that are being checked
}

// bucket is what is left of an address's tries at a time.
type bucket struct {
	tries float64
	at    time.Time
	out   bool // it has had no tries left since it was full
}

// attempts are the requests of an address whose credentials are being checked,
// or wait for that.
type attempts struct {
	requests int
	checking int
	ended    chan struct{} // wakes one that waits
}

func newLoginLimiter(perMinute int, log *slog.Logger) *loginLimiter {
	return &loginLimiter{perMinute: max(perMinute, 0), log: log, young: map[string]bucket{}, trying: map[string]*attempts{}}
}

// allows refuses an address that has no tries left.
func (l *loginLimiter) allows(address string) error {
	if l.perMinute == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal(l.bucket(address, time.Now()))
}

// try calls check, which finds out whose a credential is, with one of the
// address's tries, and gives that back unless the error is ErrBadCredential.
// While all that are left are taken it waits: a good credential is not refused
// for those that are checked beside it.
func (l *loginLimiter) try(ctx context.Context, address string, check func() error) (err error) {
	if l.perMinute == 0 {
		return check()
	}
	now := l.enter(address)
	defer l.leave(address, now)
	for {
		taken, err := l.take(address, now)
		if err != nil {
			return err
		}
		if taken {
			break
		}
		select {
		case <-now.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer func() { l.end(address, now, errors.Is(err, ErrBadCredential)) }()
	return check()
}

func (l *loginLimiter) enter(address string) *attempts {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.trying[address]
	if now == nil {
		now = &attempts{ended: make(chan struct{}, 1)}
		l.trying[address] = now
	}
	now.requests++
	return now
}

func (l *loginLimiter) leave(address string, now *attempts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.requests--; now.requests == 0 {
		delete(l.trying, address)
	}
}

// take takes a try, unless those that are being checked have all that are
// left. What one may learn is for the next one that waits to learn too.
func (l *loginLimiter) take(address string, now *attempts) (taken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(address, time.Now())
	if err := l.refusal(b); err != nil {
		now.wake()
		return false, err
	}
	if float64(now.checking+1) > b.tries {
		return false, nil
	}
	now.checking++
	now.wake()
	return true, nil
}

// end gives a try back, or keeps it if the credential was bad.
func (l *loginLimiter) end(address string, now *attempts, bad bool) {
	if l.spend(address, now, bad) {
		l.log.Warn("httpadapter: logins of an address are refused for a while: too many have failed", "address", address, "per_minute", l.perMinute)
	}
}

// spend ends a check, and reports whether it was a bad one with the last try
// after a time with more.
func (l *loginLimiter) spend(address string, now *attempts, bad bool) (out bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.checking--
	now.wake()
	if !bad {
		return false
	}
	b := l.bucket(address, time.Now())
	b.tries--
	out = b.tries < 1 && !b.out
	b.out = b.out || out
	if _, known := l.young[address]; !known && len(l.young) >= maxAddresses/2 {
		l.young, l.old = map[string]bucket{}, l.young
	}
	l.young[address] = b
	return out
}

// wake wakes one that waits, if any.
func (a *attempts) wake() {
	select {
	case a.ended <- struct{}{}:
	default:
	}
}

// refusal returns nil for a bucket with tries in it.
func (l *loginLimiter) refusal(b bucket) error {
	if b.tries >= 1 {
		return nil
	}
	return TooMany.After(time.Duration((1 - b.tries) / float64(l.perMinute) * float64(time.Minute)))
}

// bucket returns the address's bucket as it is now. The caller holds mu.
func (l *loginLimiter) bucket(address string, now time.Time) bucket {
	full := float64(l.perMinute)
	b, ok := l.young[address]
	if !ok {
		b, ok = l.old[address]
	}
	if !ok {
		return bucket{tries: full, at: now}
	}
	b.tries = min(full, b.tries+now.Sub(b.at).Minutes()*full)
	b.at = now
	b.out = b.out && b.tries < full
	return b
}

// remoteAddress returns whose failed logins are counted together: the peer's
// address, or its /64 network, which is what one customer gets of IPv6.
// Headers such as X-Forwarded-For are anybody's to write and are not read.
func remoteAddress(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address := peer.Addr().Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	network, err := address.Prefix(64)
	if err != nil {
		return r.RemoteAddr
	}
	return network.String()
}
