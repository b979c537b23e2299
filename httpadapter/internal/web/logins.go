package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxRecent bounds how many addresses with failed logins are remembered,
	// and how many credentials that were good.
	maxRecent = 10_000
	// guessPause is how long after a bad credential of an address without tries
	// the next one is checked.
	guessPause = time.Second
	// guessWait is how long a request waits for that.
	guessWait = 5 * time.Second
)

// loginLimiter slows down guessing: a bucket of tries for each address, filled
// up at a steady rate. A credential that is being checked has one of the tries
// and keeps it only if it is bad, so that guesses at the same time are no more
// than guesses one after another.
//
// Who shares an address with a guesser is let in all the same. What was good
// before is checked at once, whatever is left of the tries. Everything else is
// checked one by one when none is left, with a pause after each bad one: to ask
// on tells a guesser no more than that, at this pace.
type loginLimiter struct {
	perMinute int // 0: no limit
	log       *slog.Logger

	mu      sync.Mutex
	buckets recent[string, bucket]
	good    recent[proof, bool]  // false: not any more
	trying  map[string]*attempts // addresses with credentials that are being checked
}

// proof stands for a credential, which is not kept.
type proof [sha256.Size]byte

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

// recent keeps the last entries, in two generations: when the young one is full
// it becomes the old one, and the old one is forgotten.
type recent[K comparable, V any] struct{ young, old map[K]V }

func (r *recent[K, V]) get(key K) (V, bool) {
	value, known := r.young[key]
	if !known {
		value, known = r.old[key]
	}
	return value, known
}

func (r *recent[K, V]) put(key K, value V) {
	if _, known := r.young[key]; r.young == nil || !known && len(r.young) >= maxRecent/2 {
		r.young, r.old = map[K]V{}, r.young
	}
	r.young[key] = value
}

func newLoginLimiter(perMinute int, log *slog.Logger) *loginLimiter {
	return &loginLimiter{perMinute: max(perMinute, 0), log: log, trying: map[string]*attempts{}}
}

// try calls check, which finds out whose a credential is, with one of the
// address's tries, and gives that back unless the error is ErrBadCredential.
// While all that are left are taken it waits: a good credential is not refused
// for those that are checked beside it.
func (l *loginLimiter) try(ctx context.Context, address string, c Credential, check func() error) (err error) {
	if l.perMinute == 0 {
		return check()
	}
	sent := proof(sha256.Sum256([]byte(c.ID + "\x00" + c.Secret)))
	if l.wasGood(sent) {
		if err := check(); !errors.Is(err, ErrBadCredential) {
			return err
		}
		l.remember(sent, false) // it has been withdrawn: like any other guess
	}
	now := l.enter(address)
	if err := l.wait(ctx, address, now); err != nil {
		l.leave(address, now, 0)
		return err
	}
	defer func() { err = l.end(address, now, err) }()
	if err = check(); err == nil {
		l.remember(sent, true)
	}
	return err
}

func (l *loginLimiter) wasGood(p proof) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	good, _ := l.good.get(p)
	return good
}

func (l *loginLimiter) remember(p proof, good bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good.put(p, good)
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

// leave ends a request, with its check if there was one.
func (l *loginLimiter) leave(address string, now *attempts, checks int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.checking -= checks; checks > 0 {
		now.wake()
	}
	if now.requests--; now.requests == 0 {
		delete(l.trying, address)
	}
}

// wait waits for one of the address's tries, or for the one check that there is
// without them.
func (l *loginLimiter) wait(ctx context.Context, address string, now *attempts) error {
	waited := time.NewTicker(guessWait)
	defer waited.Stop()
	for long := false; ; {
		taken, out := l.take(address, now)
		if taken {
			return nil
		}
		if long && out != nil {
			return out
		}
		select {
		case <-now.ended:
			long = false
		case <-waited.C:
			long = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take takes a try, unless those that are being checked have all that are
// left. The error is that of an address without any.
func (l *loginLimiter) take(address string, now *attempts) (taken bool, out error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(address, time.Now())
	if float64(now.checking+1) > max(b.tries, 1) {
		return false, l.refusal(b)
	}
	now.checking++
	now.wake()
	return true, nil
}

// end ends a check, and returns what its error is to the one who asks.
func (l *loginLimiter) end(address string, now *attempts, err error) error {
	if !errors.Is(err, ErrBadCredential) {
		l.leave(address, now, 1)
		return err
	}
	refused, out := l.spend(address)
	if refused != nil {
		time.AfterFunc(guessPause, func() { l.leave(address, now, 1) })
		return refused
	}
	l.leave(address, now, 1)
	if out {
		l.log.Warn("httpadapter: logins of an address are slowed down for a while: too many have failed", "address", address, "per_minute", l.perMinute)
	}
	return err
}

// spend takes a try from an address, or returns the refusal if it has none. It
// reports whether that was the last one after a time with more.
func (l *loginLimiter) spend(address string) (refused error, out bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(address, time.Now())
	if refused := l.refusal(b); refused != nil {
		return refused, false
	}
	b.tries--
	out = b.tries < 1 && !b.out
	b.out = b.out || out
	l.buckets.put(address, b)
	return nil, out
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
	b, ok := l.buckets.get(address)
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
	address, err := netip.ParseAddr(r.RemoteAddr) // as a middleware may have set it
	if err != nil {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		address = peer.Addr()
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	network, err := address.Prefix(64)
	if err != nil {
		return r.RemoteAddr
	}
	return network.String()
}
