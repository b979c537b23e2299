package syncertest

import (
	"context"
	"io"
	"iter"
	"sync"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// Counter is a Remote that counts what it is asked for.
type Counter struct {
	cloudsync.Remote

	mu    sync.Mutex
	now   Counts
	ended int // the longest chain of calls that have ended
}

// Counts are what was asked of a Remote.
type Counts struct {
	Puts, Gets, Deletes int
	Lists               int   // one for each 1,000 objects, as stores have pages of so many
	Sent, Received      int64 // bytes of objects
	// Trips is the longest chain of calls each of which began after the one before
	// had ended: what a delay of the network is paid for. A Get has ended when
	// what it was asked for was read, or it was closed.
	Trips int
}

// Counted returns a Remote that counts what r is asked for.
func Counted(r cloudsync.Remote) *Counter { return &Counter{Remote: r} }

// Counts returns what was asked for so far, or since Reset.
func (c *Counter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Reset begins again at zero. No call may be under way.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.ended = Counts{}, 0
}

// begin counts a call, whose end is counted once.
func (c *Counter) begin(count func(now *Counts)) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count(&c.now)
	length := c.ended + 1
	c.now.Trips = max(c.now.Trips, length)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = max(c.ended, length)
	})
}

// PutIfAbsent implements sync.Remote. What is refused was sent.
func (c *Counter) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	defer c.begin(func(now *Counts) { now.Puts++; now.Sent += body.Size() })()
	return c.Remote.PutIfAbsent(ctx, name, body)
}

// Get implements sync.Remote.
func (c *Counter) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	end := c.begin(func(now *Counts) { now.Gets++ })
	r, err := c.Remote.Get(ctx, name, off, n)
	if err != nil || n == 0 {
		end()
	}
	if err != nil {
		return nil, err
	}
	return &counted{r, c, n, end}, nil
}

// List implements sync.Remote.
func (c *Counter) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		more := func() func() { return c.begin(func(now *Counts) { now.Lists++ }) }
		end, n := more(), 0
		defer func() { end() }()
		for o, err := range c.Remote.List(ctx, prefix, after) {
			if n++; n > 1000 {
				end()
				end, n = more(), 1
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Delete implements sync.Remote.
func (c *Counter) Delete(ctx context.Context, name string) error {
	defer c.begin(func(now *Counts) { now.Deletes++ })()
	return c.Remote.Delete(ctx, name)
}

// counted is what a Get reads.
type counted struct {
	io.ReadCloser
	c    *Counter
	left int64 // that was asked for; negative for all
	end  func()
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.c.mu.Lock()
	r.c.now.Received += int64(n)
	r.c.mu.Unlock()
	whole := r.left >= 0 && r.left <= int64(n)
	if r.left > 0 {
		r.left -= int64(n)
	}
	if whole || err != nil {
		r.end()
	}
	return n, err
}

func (r *counted) Close() error {
	r.end()
	return r.ReadCloser.Close()
}
