package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	driversqlite "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/internal/pause"
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
	feeds() int // the share of the readers that feeds may have
	// fold folds the log into the file, if that is the lender's business. It
	// reports whether it is and some is left. It is called instead of write.
	fold() (left bool)
	close() error // waits for the others
}

// own lends the connections of a file of ours: a writer, and readers that are
// opened when they are needed.
type own struct {
	place  *place
	origin *origin // nil: nothing is noted of where the database is
	busy   time.Duration
	writer *session
	closed chan struct{}
	slots  chan struct{} // one for each reader there may be

	mu   sync.Mutex
	idle []*session
}

// readers is how many connections may read at once.
func readers() int { return min(max(2, runtime.GOMAXPROCS(0)), 8) }

func newOwn(path string, writer *session, busy time.Duration) *own {
	return &own{
		place: &place{path: path}, writer: writer, busy: busy,
		closed: make(chan struct{}), slots: make(chan struct{}, readers()),
	}
}

// reader opens a connection that cannot write.
func (o *own) reader() (*session, error) { return o.dial("query_only(1)") }

// dial opens one more connection to the files that are open.
func (o *own) dial(pragmas ...string) (*session, error) {
	s, err := dial(o.place.path, o.busy, pragmas...)
	if gone := o.place.look(); gone != nil { // whatever it has opened
		if err == nil {
			_ = o.keepLog(s)
			_ = s.Close()
		}
		return nil, gone
	}
	return s, err
}

func (o *own) write(f func(*session) error) error {
	return o.place.keep(func() error { return f(o.writer) })
}

func (o *own) ready() bool { return true }

func (o *own) feeds() int { return cap(o.slots) / 2 }

// fold leaves alone what others read meanwhile, and does not keep them.
func (o *own) fold() (left bool) {
	if o.place.look() != nil {
		return false
	}
	var busy, log, folded int64
	err := o.writer.Row("PRAGMA wal_checkpoint(PASSIVE)", nil, &busy, &log, &folded)
	return err == nil && (busy != 0 || folded < log)
}

func (o *own) read(ctx context.Context, f func(*session) error) error {
	if err := o.enter(ctx); err != nil {
		return err
	}
	defer o.leave()
	if err := o.place.glance(); err != nil {
		return err
	}
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
	s, err := o.dial()
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

// close closes the writer last. If nobody else has the database open, in any
// process, it leaves a file that needs no log and says so: such a file alone is
// everything.
func (o *own) close() error {
	close(o.closed)
	for range cap(o.slots) {
		o.slots <- struct{}{}
	}
	var errs []error
	gone := o.place.look()
	if gone != nil {
		errs = append(errs, o.keepLog(append(o.idle, o.writer)...))
	}
	for _, s := range o.idle {
		errs = append(errs, s.Close())
	}
	if gone == nil {
		o.dropLog()
	}
	return errors.Join(append(errs, o.writer.Close())...)
}

// dropLog folds the log into the file for good, and notes that nobody has the
// database open. If others have, or the disk is full, it is left as it is.
func (o *own) dropLog() {
	var mode string
	err := o.writer.Exec("PRAGMA locking_mode = EXCLUSIVE") // until it is closed
	if err == nil {
		err = o.writer.Row("PRAGMA journal_mode = DELETE", nil, &mode)
	}
	if err != nil || mode != "delete" || o.origin == nil {
		return
	}
	if o.writer.run("BEGIN IMMEDIATE") != nil {
		return
	}
	left, err := o.origin.leave(o.writer)
	if err != nil || o.writer.run("COMMIT") != nil {
		_ = o.writer.run("ROLLBACK")
		return
	}
	o.origin.clean(left)
}

// keepLog has connections leave alone, when they are closed, what is at the
// path of their log: it is not theirs any more.
func (o *own) keepLog(sessions ...*session) error {
	for _, s := range sessions {
		c, ok := s.conn.(driversqlite.FileControl)
		if !ok {
			return fmt.Errorf("sqlite: %T cannot keep its log", s.conn)
		}
		if _, err := c.FileControlPersistWAL("main", 1); err != nil {
			return translate(o.place.path, err)
		}
	}
	return nil
}

// borrowed lends connections of the application's pool and keeps none.
type borrowed struct {
	db      *sql.DB
	path    string
	place   *place        // of the file alone: the rest is the application's
	timeout time.Duration // how long to wait for a connection, and for others to let a reader read
	readers sync.RWMutex
	closed  bool
}

func (b *borrowed) write(f func(*session) error) error {
	return b.place.keep(func() error { return b.borrow(context.Background(), f) })
}

func (b *borrowed) ready() bool { return false }

// feeds has half of what the application allows now, or of what we would have.
func (b *borrowed) feeds() int {
	return cmp.Or(b.db.Stats().MaxOpenConnections, readers()) / 2
}

// fold leaves that to the application's own settings.
func (b *borrowed) fold() bool { return false }

func (b *borrowed) read(ctx context.Context, f func(*session) error) error {
	b.readers.RLock()
	defer b.readers.RUnlock()
	if b.closed {
		return storage.ErrClosed
	}
	if err := b.place.glance(); err != nil {
		return err
	}
	// The application's connections need not have a busy_timeout.
	end := time.Now().Add(b.timeout)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := b.borrow(ctx, f)
		if !errors.Is(err, storage.ErrBusy) || !time.Now().Before(end) {
			return err
		}
		if pause.For(ctx, wait) != nil {
			return err
		}
	}
}

func (b *borrowed) copy(ctx context.Context, f func(*session) error) error { return b.read(ctx, f) }

// borrow waits for a connection until ctx ends, and no longer than the timeout.
func (b *borrowed) borrow(ctx context.Context, f func(*session) error) error {
	waiting, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	conn, err := b.db.Conn(waiting)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %q: the pool of the application has no free connection", storage.ErrBusy, b.path)
	}
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
