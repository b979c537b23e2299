package syncertest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// Call is a kind of call of a Remote.
type Call string

// The calls of a Remote that can fail.
const (
	Put    Call = "put"
	Get    Call = "get"
	List   Call = "list"
	Delete Call = "delete"
)

// Faults is a Remote that fails as it is told to. Faults of one kind of call come
// in the order in which they were told.
type Faults struct {
	cloudsync.Remote

	mu     sync.Mutex
	script map[Call][]fault
	hide   int
	newest string // the object that was put last
}

type fault struct {
	err   error // nil for none: what is read is cut
	after bool  // it has its effect
}

// Faulty returns a Remote that does what r does, until it is told to fail.
func Faulty(r cloudsync.Remote) *Faults {
	return &Faults{Remote: r, script: make(map[Call][]fault)}
}

// Unavailable is the error of a Remote that does not answer before so long.
func Unavailable(after time.Duration) error {
	return &cloudsync.UnavailableError{After: after, Err: errors.New("too many requests")}
}

// Fail lets the next n calls of a kind fail without effect.
func (f *Faults) Fail(call Call, n int, err error) { f.tell(call, n, fault{err: err}) }

// FailAfter lets the next n calls of a kind fail after their effect: a Get after
// half of what is read, a List after its last object.
func (f *Faults) FailAfter(call Call, n int, err error) {
	f.tell(call, n, fault{err: err, after: true})
}

// Truncate lets the next n Gets end after half of what is read, without an error.
func (f *Faults) Truncate(n int) { f.tell(Get, n, fault{after: true}) }

// Hide lets the next n Lists lack the object that was put last. Those that fail do
// not count.
func (f *Faults) Hide(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hide += n
}

// Left is how many calls are still to fail, or to lack something.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.hide
	for _, faults := range f.script {
		n += len(faults)
	}
	return n
}

func (f *Faults) tell(call Call, n int, one fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.script[call] = append(f.script[call], one)
	}
}

// next is what happens to a call.
func (f *Faults) next(call Call) (one fault, faulty bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.script[call]) == 0 {
		return fault{}, false
	}
	one, f.script[call] = f.script[call][0], f.script[call][1:]
	return one, true
}

// do makes a call that has its effect at once.
func (f *Faults) do(call Call, effect func() error) error {
	one, faulty := f.next(call)
	if faulty && !one.after {
		return one.err
	}
	if err := effect(); err != nil || !faulty {
		return err
	}
	return one.err
}

// PutIfAbsent implements sync.Remote.
func (f *Faults) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	return f.do(Put, func() error {
		err := f.Remote.PutIfAbsent(ctx, name, body)
		if err == nil {
			f.mu.Lock()
			f.newest = name
			f.mu.Unlock()
		}
		return err
	})
}

// Delete implements sync.Remote.
func (f *Faults) Delete(ctx context.Context, name string) error {
	return f.do(Delete, func() error { return f.Remote.Delete(ctx, name) })
}

// Get implements sync.Remote.
func (f *Faults) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	one, faulty := f.next(Get)
	if faulty && !one.after {
		return nil, one.err
	}
	r, err := f.Remote.Get(ctx, name, off, n)
	if err != nil || !faulty {
		return r, err
	}
	return &half{ReadCloser: r, err: one.err}, nil
}

// List implements sync.Remote.
func (f *Faults) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		one, faulty := f.next(List)
		if faulty && !one.after {
			yield(cloudsync.Object{}, one.err)
			return
		}
		hidden := ""
		if !faulty {
			hidden = f.hidden()
		}
		for o, err := range f.Remote.List(ctx, prefix, after) {
			if (err != nil || o.Name != hidden) && !yield(o, err) {
				return
			}
		}
		if faulty {
			yield(cloudsync.Object{}, one.err)
		}
	}
}

// hidden is the object that a list lacks.
func (f *Faults) hidden() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hide == 0 {
		return ""
	}
	f.hide--
	return f.newest
}

// half reads half of what there is, and then ends or fails.
type half struct {
	io.ReadCloser
	err  error // nil: it ends
	data []byte
	read bool
}

func (h *half) Read(p []byte) (int, error) {
	if !h.read {
		all, err := io.ReadAll(h.ReadCloser)
		if err != nil {
			return 0, err
		}
		h.data, h.read = all[:len(all)/2], true
	}
	n := copy(p, h.data)
	h.data = h.data[n:]
	switch {
	case n > 0 || len(p) == 0:
		return n, nil
	case h.err != nil:
		return 0, h.err
	}
	return 0, io.EOF
}
