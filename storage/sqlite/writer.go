package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// maxBatch bounds the closures of one transaction, and so how long the first
// of them waits for the last.
const maxBatch = 512

// writer commits the closures of many callers in one transaction: one sync of
// the disk serves all that wait. It takes what is there and never waits for
// more. Its one goroutine ends with close.
type writer struct {
	lender lender
	busy   time.Duration // how long to wait for other processes
	commit func()        // called after each commit

	mu     sync.Mutex
	queue  []*job
	closed bool

	wake chan struct{} // there is something in the queue, or it is closed
	done chan struct{} // closed when the goroutine has returned
}

// job is a closure on its way.
type job struct {
	ctx   context.Context
	f     func(sqlstore.Tx) error
	state atomic.Int32
	err   error
	done  chan struct{} // closed once err is the outcome
}

// A job waits until either the writer starts it or its caller leaves.
const (
	jobWaits = iota
	jobStarted
	jobDropped
)

func startWriter(l lender, busy time.Duration, commit func()) *writer {
	w := &writer{
		lender: l, busy: busy, commit: commit,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go w.loop()
	return w
}

// write keeps the promise of sqlstore.DB.
func (w *writer) write(ctx context.Context, f func(sqlstore.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, f: f, done: make(chan struct{})}
	if !w.enqueue(j) {
		return storage.ErrClosed
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaits, jobDropped) {
			return ctx.Err()
		}
		<-j.done
	}
	return j.err
}

func (w *writer) enqueue(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.queue = append(w.queue, j)
	w.signal()
	return true
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close finishes what is queued and ends the goroutine.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.done
}

func (w *writer) loop() {
	defer close(w.done)
	for range w.wake {
		// Let those who were just answered queue their next closure.
		runtime.Gosched()
		for batch, closed := w.take(); len(batch) > 0 || closed; batch, closed = w.take() {
			if len(batch) == 0 {
				return
			}
			w.run(batch)
			runtime.Gosched()
		}
	}
}

// take returns the batch that is next, and whether no other will ever come.
func (w *writer) take() (batch []*job, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	batch, w.queue = w.queue[:n:n], w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return batch, w.closed
}

// errLost reports that SQLite ended the whole transaction because of one
// closure, as it does when the disk is full.
var errLost = errors.New("sqlite: transaction lost")

// run commits a batch and answers its callers.
func (w *writer) run(batch []*job) {
	err := w.lender.write(func(s *session) error { return w.transact(s, batch) })
	if errors.Is(err, errLost) && len(batch) > 1 {
		// Nothing of it happened; the closure that broke it has its answer.
		for i, j := range batch {
			if !j.answered() {
				w.run(batch[i : i+1])
			}
		}
		return
	}
	if err == nil {
		w.commit()
	}
	for _, j := range batch {
		if !j.answered() {
			if j.err == nil {
				j.err = err
			}
			close(j.done)
		}
	}
}

func (j *job) answered() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// transact runs the closures of a batch in one transaction. The outcome of a
// closure that failed is in its job.
func (w *writer) transact(s *session, batch []*job) error {
	if err := w.patiently(func() error { return s.run("BEGIN IMMEDIATE") }); err != nil {
		return err
	}
	for _, j := range batch {
		if err := w.turn(s, j, len(batch) == 1); err != nil {
			_ = s.run("ROLLBACK") // which fails if SQLite did it already
			return err
		}
	}
	err := w.patiently(func() error { return s.run("COMMIT") })
	if err != nil {
		_ = s.run("ROLLBACK")
	}
	return err
}

// turn runs one closure in a savepoint, which a closure alone in its
// transaction can do without. An error means that the transaction is over.
func (w *writer) turn(s *session, j *job, alone bool) error {
	if j.err = j.begin(); j.err != nil {
		return nil
	}
	if alone {
		j.err = call(j.f, s)
		return j.err
	}
	if err := s.run("SAVEPOINT upkeep"); err != nil {
		return err
	}
	if j.err = call(j.f, s); j.err != nil {
		if s.run("ROLLBACK TO upkeep") != nil {
			close(j.done)
			return errLost
		}
	}
	return s.run("RELEASE upkeep")
}

// begin starts the job, or returns why it is dropped.
func (j *job) begin() error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if !j.state.CompareAndSwap(jobWaits, jobStarted) && j.state.Load() == jobDropped {
		return context.Canceled
	}
	return nil
}

func call(f func(sqlstore.Tx) error, tx sqlstore.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("sqlite: panic in a write: %v", p)
		}
	}()
	return f(tx)
}

// patiently repeats f while other processes hold the database, for as long as
// the busy timeout.
func (w *writer) patiently(f func() error) error {
	pause, end := time.Millisecond, time.Now().Add(w.busy)
	for {
		err := f()
		if !errors.Is(err, storage.ErrBusy) || !time.Now().Before(end) {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, 8*time.Millisecond)
	}
}
