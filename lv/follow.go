package lv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// catchUpTime is how long a write waits to see its own event.
const catchUpTime = 30 * time.Second

// A follower brings events into the roots of a Service, in order, one applier
// at a time: whoever wrote last, or Run.
type follower struct {
	service *Service
	applier chan struct{} // holds a token while nobody applies
	// position is the last event that the roots have. It is -1 until somebody
	// asks for a table. Written by the applier.
	position atomic.Int64
	wanted   atomic.Int64 // the last event that somebody waits for
	began    int64        // where the position began; the applier's
	lost     int          // how often events were no longer kept; the applier's
}

func newFollower(s *Service) *follower {
	f := &follower{service: s, applier: make(chan struct{}, 1)}
	f.applier <- struct{}{}
	f.position.Store(-1)
	return f
}

func (f *follower) lock(ctx context.Context) error {
	select {
	case <-f.applier:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *follower) unlock() { f.applier <- struct{}{} }

// start sets the position to the newest event, unless it is set. The applier
// calls it before it trusts the position. A Reader does not know the newest
// event: with one, the first snapshot sets it.
func (f *follower) start(ctx context.Context) error {
	if f.position.Load() >= 0 || f.service.config.Reader != nil {
		return nil
	}
	last := int64(0)
	for info, err := range f.service.config.VersionStore.Tables(ctx) {
		if err != nil {
			return fmt.Errorf("listing tables: %w", err)
		}
		last = max(last, info.Seq)
	}
	f.begin(last)
	return nil
}

func (f *follower) begin(position int64) {
	f.began = position
	f.position.Store(position)
}

// reached reports whether a snapshot that goes on after an event lacks none of
// those before the ones that were kept for it, which come after from. The
// applier calls it.
func (f *follower) reached(from, after int64) bool {
	if f.position.Load() < 0 {
		f.begin(max(after, 0))
	}
	if from < 0 { // nothing could come before the position began
		from = f.began
	}
	return after >= from
}

// reach returns once the roots have the event seq. The write that left it is
// done, so that the end of ctx does not matter any more.
func (f *follower) reach(ctx context.Context, seq int64) error {
	if f.position.Load() >= seq {
		return nil
	}
	raise(&f.wanted, seq)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catchUpTime)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer context.AfterFunc(f.service.door.Ending(), func() { end(ErrClosed) })()
	defer end(nil)
	if err := f.lock(ctx); err != nil {
		return fmt.Errorf("written, but not seen: %w", err)
	}
	defer f.unlock()
	if err := f.catchUp(ctx, seq); err != nil {
		return fmt.Errorf("written, but not seen: %w", err)
	}
	return nil
}

// catchUp applies events until nobody waits for more. The caller is the applier.
func (f *follower) catchUp(ctx context.Context, seq int64) error {
	if err := f.start(ctx); err != nil {
		return err
	}
	if f.position.Load() >= seq {
		return nil
	}
	for e, err := range f.service.soundEvents(ctx, f.position.Load()) {
		if errors.Is(err, ErrCompacted) {
			f.loseTrack()
			return nil
		}
		if err != nil {
			return err
		}
		f.apply(ctx, e)
		if e.Seq >= f.wanted.Load() {
			break
		}
	}
	return nil
}

// follow applies the events of all processes until ctx ends or reading fails. It
// calls works when something has been read.
func (f *follower) follow(ctx context.Context, works func()) error {
	known := f.position.Load() >= 0
	from, err := f.from(ctx)
	if err != nil {
		return err
	}
	if !known {
		works()
	}
	// Plans that were read before this position may be older than it.
	f.service.stale.addAll()
	f.service.planned.Set()
	for e, err := range f.service.soundEvents(ctx, from) {
		lost := errors.Is(err, ErrCompacted)
		if err != nil && !lost {
			return err
		}
		works()
		if err := f.lock(ctx); err != nil {
			return err
		}
		if lost {
			f.loseTrack()
		} else if e.Seq > f.position.Load() {
			f.apply(ctx, e)
		}
		f.unlock()
	}
	return context.Cause(ctx)
}

// from returns the position, once there is one.
func (f *follower) from(ctx context.Context) (int64, error) {
	for {
		if err := f.lock(ctx); err != nil {
			return 0, err
		}
		err := f.start(ctx)
		from := f.position.Load()
		f.unlock()
		if err != nil || from >= 0 {
			return from, err
		}
		if err := f.service.readNamed(ctx); err != nil {
			return 0, err
		}
	}
}

// apply brings one event into the root of its table.
func (f *follower) apply(ctx context.Context, e Event) {
	s := f.service
	switch e.Kind {
	case EventReleased, EventStrategy:
		if t := s.known(e.Table); t != nil {
			t.apply(ctx, e)
		}
	case EventDraft:
		s.stale.add(e.Table)
		s.planned.Set()
	}
	f.position.Store(e.Seq)
}

// loseTrack drops all roots, because events between them and now are no longer
// kept. They are read anew when somebody asks for them.
func (f *follower) loseTrack() {
	s := f.service
	f.lost++
	f.position.Store(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		t.root.Store(nil)
		t.missed = nil
		t.changed.Set()
	}
	s.stale.addAll()
	s.planned.Set()
}

// staleTables are those whose plans have to be read again.
type staleTables struct {
	mu     sync.Mutex
	all    bool
	tables map[TableID]bool
}

func (s *staleTables) add(id TableID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables == nil {
		s.tables = map[TableID]bool{}
	}
	s.tables[id] = true
}

func (s *staleTables) addAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = true
}

// take returns what was added since, or that it is all.
func (s *staleTables) take() (tables map[TableID]bool, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tables, all = s.tables, s.all
	s.tables, s.all = nil, false
	return tables, all
}
