package sync

import (
	"context"
	"io"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// limited is a Remote to which no more bytes go in a second, and from which no
// more come, than was allowed when that second began.
type limited struct {
	Remote
	up, down *limiter
}

func newLimited(r Remote, rate func() (up, down int64)) Remote {
	if rate == nil {
		return r
	}
	return limited{
		Remote: r,
		up:     newLimiter(func() int64 { up, _ := rate(); return up }),
		down:   newLimiter(func() int64 { _, down := rate(); return down }),
	}
}

// PutIfAbsent implements Remote.
func (l limited) PutIfAbsent(ctx context.Context, name string, b Body) error {
	return l.Remote.PutIfAbsent(ctx, name, limitedBody{b, ctx, l.up})
}

// Get implements Remote.
func (l limited) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	r, err := l.Remote.Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	return limitedReader{r, ctx, l.down}, nil
}

// limitedBody is a Body during one put, whose context it has.
type limitedBody struct {
	Body
	ctx context.Context
	l   *limiter
}

// ReadAt implements io.ReaderAt.
func (b limitedBody) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = b.Body.ReadAt(p[n:min(len(p), n+piece)], off+int64(n))
		n += k
		if e := b.l.pass(b.ctx, k); e != nil {
			return n, e
		}
	}
	return n, err
}

// limitedReader is what one Get reads, whose context it has.
type limitedReader struct {
	io.ReadCloser
	ctx context.Context
	l   *limiter
}

func (r limitedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p[:min(len(p), piece)])
	if e := r.l.pass(r.ctx, n); e != nil {
		return n, e
	}
	return n, err
}

// piece is how many bytes pass at once.
const piece = 16 << 10

// limiter lets so many bytes pass in a second.
type limiter struct {
	rate func() int64 // bytes a second; 0 for no limit

	turn  chan struct{} // whoever has put something into it has the turn
	most  int64         // the rate
	asked time.Time     // when it was that
	owed  float64       // bytes that have passed, and are not paid for with time
	paid  time.Time     // until when
}

func newLimiter(rate func() int64) *limiter {
	return &limiter{rate: rate, turn: make(chan struct{}, 1)}
}

// pass waits until so many bytes may have passed, but for what is less than a
// timer is worth.
func (l *limiter) pass(ctx context.Context, n int) error {
	const least = 5 * time.Millisecond
	for {
		wait := l.wait(n)
		if wait < least {
			return nil
		}
		if err := pause.For(ctx, min(wait, time.Second)); err != nil {
			return err
		}
		n = 0
	}
}

// wait adds n bytes, and returns how long all have to wait for.
func (l *limiter) wait(n int) time.Duration {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	now := time.Now()
	if now.Sub(l.asked) >= time.Second {
		l.most, l.asked = l.rate(), now
	}
	if l.most <= 0 {
		l.owed = 0
		return 0
	}
	l.owed = max(0, l.owed-now.Sub(l.paid).Seconds()*float64(l.most)) + float64(n)
	l.paid = now
	return time.Duration(l.owed / float64(l.most) * float64(time.Second))
}
