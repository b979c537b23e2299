package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// channel is what writers NOTIFY and hints LISTENs to.
const channel = "upkeep"

const (
	pollOften  = 200 * time.Millisecond // while nothing shows that LISTEN works
	pollSeldom = time.Second            // while it does: its connection may go mute
	pollLimit  = 2 * time.Second        // for one poll
	linger     = 3 * time.Second        // without anybody waiting
)

// hints tells those who wait that somebody may have committed. While there
// are such, one goroutine listens on a connection of its own and, as that may
// be broken or have a pooler in between, also polls.
type hints struct {
	pool   *pgxpool.Pool
	listen bool // whether LISTEN may work

	work sync.WaitGroup

	mu      sync.Mutex
	next    chan struct{}      // closed by the next hint
	wanted  bool               // somebody has next
	askedAt time.Time          // when somebody last took it
	stop    context.CancelFunc // ends the goroutines; nil while there are none
	closed  bool
}

func newHints(pool *pgxpool.Pool, listen bool) *hints {
	return &hints{pool: pool, listen: listen, next: make(chan struct{})}
}

// changed returns a channel that the next hint closes.
func (h *hints) changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted, h.askedAt = true, time.Now()
	if h.stop == nil && !h.closed {
		ctx, stop := context.WithCancel(context.Background())
		h.stop = stop
		h.work.Go(func() {
			defer stop()
			h.follow(ctx)
		})
	}
	return h.next
}

// wake gives a hint.
func (h *hints) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted && !h.closed {
		h.hint()
	}
}

func (h *hints) hint() {
	close(h.next)
	h.next, h.wanted = make(chan struct{}), false
}

// close wakes everybody for good and waits for the goroutines.
func (h *hints) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.next)
	}
	if h.stop != nil {
		h.stop()
	}
	h.mu.Unlock()
	h.work.Wait()
}

// follow gives hints until nobody has asked for one for a while.
func (h *hints) follow(ctx context.Context) {
	hears := make(chan bool)
	if h.listen {
		h.work.Go(func() { h.keepListening(ctx, hears) })
	}
	period, seen := pollOften, ""
	poll := time.NewTimer(0)
	defer poll.Stop()
	for !h.rest() {
		select {
		case <-ctx.Done():
			return
		case works := <-hears:
			h.wake()
			if period = pollOften; works {
				period = pollSeldom
			}
		case <-poll.C:
			if now := h.snapshot(ctx); now == "" || now != seen {
				seen = now
				h.wake()
			}
		}
		poll.Reset(period)
	}
}

// rest reports that nobody has asked for a while, which ends follow. Whoever
// has waited for so long is woken, and asks again if it still cares.
func (h *hints) rest() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.askedAt) < linger || h.closed {
		return false
	}
	if h.wanted {
		h.hint()
		return false
	}
	h.stop = nil
	return true
}

// snapshot returns a text that differs after every commit on the server, or ""
// if it cannot be had.
func (h *hints) snapshot(ctx context.Context) (s string) {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	if err := h.pool.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&s); err != nil {
		return ""
	}
	return s
}

// keepListening sends true for every notification and false when it hears no
// more, until ctx ends.
func (h *hints) keepListening(ctx context.Context, hears chan<- bool) {
	say := func(works bool) {
		select {
		case hears <- works:
		case <-ctx.Done():
		}
	}
	for n := 0; ctx.Err() == nil; n++ {
		h.hear(ctx, func() { n = 0; say(true) })
		say(false)
		pause(ctx, backoff(n, pollOften, 30*time.Second))
	}
}

// hear calls heard for every notification, until ctx or the connection ends.
func (h *hints) hear(ctx context.Context, heard func()) {
	pooled, err := h.pool.Acquire(ctx)
	if err != nil {
		return
	}
	c := pooled.Hijack()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollLimit)
		defer cancel()
		c.Close(ctx)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return
	}
	// A connection that hears should be known to do so at once.
	if _, err := h.pool.Exec(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
		return
	}
	for {
		if _, err := c.WaitForNotification(ctx); err != nil {
			return
		}
		heard()
	}
}
