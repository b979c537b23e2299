package archive

import (
	"context"

	"github.com/upkeep-go/upkeep/internal/filelock"
	"github.com/upkeep-go/upkeep/rollout"
)

// flight is work on an archive that somebody waits for, or its removal.
type flight struct {
	cancel  context.CancelFunc // nil of a removal
	done    chan struct{}
	err     error // once done
	waiting int
}

// join waits until an archive is there: for the work on it, which it begins if
// there is none. Who leaves last ends it.
func (s *Shelf) join(ctx context.Context, name string, a rollout.Archive) error {
	f, err := s.board(ctx, name, a)
	if f == nil || err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && s.live[name] == f {
		delete(s.live, name) // nobody else is to wait for what ends
	}
	s.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
	return context.Cause(ctx)
}

// board returns the work on an archive, or nil if it is there. It first waits
// for a removal.
func (s *Shelf) board(ctx context.Context, name string, a rollout.Archive) (*flight, error) {
	for {
		s.mu.Lock()
		f := s.live[name]
		s.mu.Unlock()
		if f == nil {
			if there, err := s.there(name); there || err != nil {
				return nil, err
			}
		}
		s.mu.Lock()
		f = s.live[name]
		if f == nil {
			f = s.begin(ctx, name, a)
		}
		removal := f.cancel == nil
		if !removal {
			f.waiting++
		}
		s.mu.Unlock()
		if !removal {
			return f, nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// begin begins work, while mu is held. Whoever waits may end, and others wait
// on: it has the values of ctx, and not its end.
func (s *Shelf) begin(ctx context.Context, name string, a rollout.Archive) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{})}
	s.live[name] = f
	go func() {
		defer close(f.done)
		defer cancel()
		f.err = s.work(ctx, name, a)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.live[name] == f {
			delete(s.live, name)
		}
	}()
	return f
}

// reserve keeps work on an archive from beginning until free is called. It
// returns false if there is some.
func (s *Shelf) reserve(name string) (free func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[name] != nil {
		return nil, false
	}
	f := &flight{done: make(chan struct{})}
	s.live[name] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, name)
		close(f.done)
	}, true
}

// hold keeps other processes out as long as somebody in this one works.
type hold struct {
	path string
	turn chan struct{} // full while somebody uses what is below

	users   int
	release func() error
}

func newHold(path string) hold { return hold{path: path, turn: make(chan struct{}, 1)} }

func (h *hold) enter(ctx context.Context) error {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.turn }()
	if h.users == 0 {
		release, err := filelock.Acquire(ctx, h.path)
		if err != nil {
			return err
		}
		h.release = release
	}
	h.users++
	return nil
}

// leave waits for nobody: who waits for another process is the first to enter.
func (h *hold) leave() error {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.users--; h.users == 0 {
		return h.release()
	}
	return nil
}
