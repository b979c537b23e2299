package httpadapter

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// maxAddresses bounds how many addresses with failed logins are remembered.
const maxAddresses = 10_000

// loginLimiter slows down guessing: a bucket of tries for each address, filled
// up at a steady rate. Addresses are kept in two generations; when the young
// one is full it becomes the old one, and the old one is forgotten.
type loginLimiter struct {
	perMinute int // 0: no limit

	mu         sync.Mutex
	young, old map[string]bucket
}

// bucket is what is left of an address's tries at a time.
type bucket struct {
	tries float64
	at    time.Time
}

func newLoginLimiter(perMinute int) *loginLimiter {
	return &loginLimiter{perMinute: max(perMinute, 0), young: map[string]bucket{}}
}

// blocked returns how long the address must wait before its next try.
func (l *loginLimiter) blocked(address string) time.Duration {
	if l.perMinute == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(address, time.Now())
	if b.tries >= 1 {
		return 0
	}
	return time.Duration((1 - b.tries) / float64(l.perMinute) * float64(time.Minute))
}

// failed takes one try from the address.
func (l *loginLimiter) failed(address string) {
	if l.perMinute == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(address, time.Now())
	// Failures that ran at the same time may take more than there is; a
	// bucket never owes more than a minute.
	b.tries = max(b.tries-1, -float64(l.perMinute))
	if _, known := l.young[address]; !known && len(l.young) >= maxAddresses/2 {
		l.young, l.old = map[string]bucket{}, l.young
	}
	l.young[address] = b
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
