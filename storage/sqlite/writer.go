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

// quietBatches is for how many batches the callers must have come one by one
// before one of them may write by itself.
const quietBatches = 8

// foldAfter is how long nobody has written when the log is folded into the
// file, so that the file alone is nearly everything while little happens.
const foldAfter = time.Second

// waryBatches is how many batches get savepoints after a closure has failed.
const waryBatches = 64

// writer commits the closures of many callers in one transaction: one sync of
// the disk serves all that wait. It takes what is there and never waits for
// more. Its one goroutine ends with close; a caller who finds nobody writing
// need not wait for it to wake. When nobody writes for a while it folds the log
// into the file.
type writer struct {
	lender lender
	busy   time.Duration // how long to wait for other processes
	commit func()        // called after each commit
	wary   int           // batches that get savepoints; whoever writes has it
	idle   *time.Timer   // ends when there was no commit for a while

	writing chan struct{} // full while somebody writes
	wake    chan struct{} // there is something in the queue, or it is closed
	done    chan struct{} // closed when the goroutine has returned

	mu     sync.Mutex
	queue  []*job
	quiet  int // batches of one since there was a greater one
	closed bool
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
		quiet: quietBatches, idle: time.NewTimer(foldAfter),
		writing: make(chan struct{}, 1), wake: make(chan struct{}, 1), done: make(chan struct{}),
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
	if w.alone() {
		err := w.commitAll([]*job{j}, 0)
		<-w.writing
		if err == nil {
			err = j.err
		}
		if j.state.Load() == jobStarted || !errors.Is(err, storage.ErrBusy) {
			return err
		}
		// Another process writes: the goroutine waits for it.
	}
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

// alone takes the turn if nobody else wants it and the lender never waits.
func (w *writer) alone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.queue) > 0 || w.quiet < quietBatches || !w.lender.ready() {
		return false
	}
	select {
	case w.writing <- struct{}{}:
		return true
	default:
		return false
	}
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

// close finishes what is under way and queued, and ends the goroutine.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.done
}

func (w *writer) loop() {
	defer close(w.done)
	defer w.idle.Stop()
	for {
		idle := false
		select {
		case <-w.wake:
		case <-w.idle.C:
			idle = true
		}
		w.writing <- struct{}{}
		if idle && w.lender.fold() {
			w.idle.Reset(foldAfter)
		}
		closed := w.drain()
		<-w.writing
		if closed {
			return
		}
	}
}

// fold folds the log into the file now.
func (w *writer) fold() {
	w.writing <- struct{}{}
	w.lender.fold()
	<-w.writing
}

// drain writes until nobody waits, and reports whether nobody ever will.
func (w *writer) drain() bool {
	for {
		// Let those who were just answered queue their next closure.
		runtime.Gosched()
		batch, closed := w.take()
		if len(batch) == 0 {
			return closed
		}
		w.run(batch)
	}
}

// take returns the batch that is next, and whether no other will come.
func (w *writer) take() (batch []*job, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	switch {
	case n == 1:
		w.quiet++
	case n > 1:
		w.quiet = 0
	}
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
	err := w.commitAll(batch, w.busy)
	if errors.Is(err, errLost) && len(batch) > 1 {
		// Nothing of it happened; the closure that broke it has its answer.
		for i, j := range batch {
			if !j.answered() {
				w.run(batch[i : i+1])
			}
		}
		return
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

// commitAll commits a batch on a borrowed connection, and waits no longer than
// patience for other processes to let it begin.
func (w *writer) commitAll(batch []*job, patience time.Duration) error {
	err := w.lender.write(func(s *session) error {
		// A savepoint costs a seventh of a small write, and few closures fail.
		err := w.transact(s, batch, patience, w.wary > 0 && len(batch) > 1)
		w.wary = max(0, w.wary-1)
		switch {
		case !errors.Is(err, errSpoilt):
			return err
		case len(batch) == 1:
			return batch[0].err
		}
		w.wary = waryBatches
		return w.transact(s, batch, patience, true)
	})
	if err == nil {
		w.commit()
		w.idle.Reset(foldAfter)
	}
	return err
}

// transact runs the closures of a batch in one transaction. The outcome of a
// closure that failed is in its job.
func (w *writer) transact(s *session, batch []*job, patience time.Duration, savepoints bool) error {
	if err := patiently(patience, func() error { return s.run("BEGIN IMMEDIATE") }); err != nil {
		return err
	}
	for _, j := range batch {
		if err := j.turn(s, savepoints); err != nil {
			_ = s.run("ROLLBACK") // which fails if SQLite did it already
			return err
		}
	}
	err := patiently(w.busy, func() error { return s.run("COMMIT") })
	if err != nil {
		_ = s.run("ROLLBACK")
	}
	return err
}

// errSpoilt reports that a closure failed that had no savepoint.
var errSpoilt = errors.New("sqlite: transaction spoilt")

// turn runs the closure. An error means that the transaction is over.
func (j *job) turn(s *session, savepoint bool) error {
	if j.err = j.begin(); j.err != nil {
		return nil
	}
	if !savepoint {
		if j.err = call(j.f, s); j.err != nil {
			return errSpoilt
		}
		return nil
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
	select {
	case <-j.ctx.Done(): // Err of a holder's context may wait for its lease, which is a write
		return j.ctx.Err()
	default:
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

// patiently repeats f while other processes hold the database, for some time.
func patiently(patience time.Duration, f func() error) error {
	err := f()
	pause, end := time.Millisecond, time.Now().Add(patience)
	for errors.Is(err, storage.ErrBusy) && time.Now().Before(end) {
		time.Sleep(pause)
		pause = min(2*pause, 8*time.Millisecond)
		err = f()
	}
	return err
}
