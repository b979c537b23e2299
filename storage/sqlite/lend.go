package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/storage"
)

// lender lends connections. The writer asks for one writing connection at a
// time; what f panics with passes through.
type lender interface {
	write(f func(*session) error) error
	ready() bool // write does not wait
	// read may call f more than once, while others do not let it read.
	read(ctx context.Context, f func(*session) error) error
	// copy lends a connection that may VACUUM INTO.
	copy(ctx context.Context, f func(*session) error) error
	close() error // waits for the others
}

// own lends the connections of a file of ours: a writer, and readers that are
// opened when they are needed.
type own struct {
	path   string
	busy   time.Duration
	writer *session
	closed chan struct{}
	slots  chan struct{} // one for each reader there may be

	mu   sync.Mutex
	idle []*session
}

func newOwn(path string, writer *session, busy time.Duration) *own {
	readers := min(max(2, runtime.GOMAXPROCS(0)), 8)
	return &own{path: path, writer: writer, busy: busy, closed: make(chan struct{}), slots: make(chan struct{}, readers)}
}

// reader opens a connection that cannot write.
func (o *own) reader() (*session, error) { return dial(o.path, o.busy, "query_only(1)") }

func (o *own) write(f func(*session) error) error { return f(o.writer) }

func (o *own) ready() bool { return true }

func (o *own) read(ctx context.Context, f func(*session) error) error {
	if err := o.enter(ctx); err != nil {
		return err
	}
	defer o.leave()
	s, err := o.take()
	if err != nil {
		return err
	}
	defer o.give(s)
	return f(s)
}

func (o *own) copy(ctx context.Context, f func(*session) error) error {
	if err := o.enter(ctx); err != nil {
		return err
	}
	defer o.leave()
	s, err := dial(o.path, o.busy)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

func (o *own) enter(ctx context.Context) error {
	select {
	case <-o.closed:
		return storage.ErrClosed
	default:
	}
	select {
	case o.slots <- struct{}{}:
		return nil
	case <-o.closed:
		return storage.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *own) leave() { <-o.slots }

// take prefers the reader that was used last: its cache is warm.
func (o *own) take() (*session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last := len(o.idle) - 1; last >= 0 {
		s := o.idle[last]
		o.idle = o.idle[:last]
		return s, nil
	}
	return o.reader()
}

func (o *own) give(s *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle = append(o.idle, s)
}

// close closes the writer last: whoever closes a database last folds the log
// into the file.
func (o *own) close() error {
	close(o.closed)
	for range cap(o.slots) {
		o.slots <- struct{}{}
	}
	var errs []error
	for _, s := range o.idle {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, o.writer.Close())...)
}

// borrowed lends connections of the application's pool and keeps none.
type borrowed struct {
	db      *sql.DB
	path    string
	timeout time.Duration // how long to wait for a connection to write, and for others to let a reader read
	readers sync.RWMutex
	closed  bool
}

func (b *borrowed) write(f func(*session) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	err := b.borrow(ctx, f)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %q: the pool of the application has no free connection", storage.ErrBusy, b.path)
	}
	return err
}

func (b *borrowed) ready() bool { return false }

func (b *borrowed) read(ctx context.Context, f func(*session) error) error {
	b.readers.RLock()
	defer b.readers.RUnlock()
	if b.closed {
		return storage.ErrClosed
	}
	// The application's connections need not have a busy_timeout.
	end := time.Now().Add(b.timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := b.borrow(ctx, f)
		if !errors.Is(err, storage.ErrBusy) || !time.Now().Before(end) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (b *borrowed) copy(ctx context.Context, f func(*session) error) error { return b.read(ctx, f) }

func (b *borrowed) borrow(ctx context.Context, f func(*session) error) error {
	conn, err := b.db.Conn(ctx)
	if err != nil {
		return translate(b.path, err)
	}
	defer conn.Close()
	return conn.Raw(func(raw any) error {
		s := newSession(b.path, raw.(driver.Conn))
		return errors.Join(f(s), s.forget())
	})
}

func (b *borrowed) close() error {
	b.readers.Lock()
	defer b.readers.Unlock()
	b.closed = true
	return nil
}
