package web

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	heartbeat = 15 * time.Second // between signs of life of an idle stream
	maxQueued = 64               // events of one stream that wait to be sent
)

// Event is something that a reader of a stream is told.
type Event struct {
	ID   int64  // where to resume after it; 0: it does not move that
	Name string // what EventSource dispatches on; "": this one is passed over
	Data any    // encoded as JSON
}

// Feed is where a domain's events come from. It yields the events after a
// sequence number, or after now if that is negative, and ends with an error.
// Those that the reader is not told of come without a name: signs of life have
// their ids, so that who reconnects does not begin before all of them.
type Feed func(ctx context.Context, after int64) iter.Seq2[Event, error]

// ErrFeedEnds is the error of a feed with which all is told.
var ErrFeedEnds = errors.New("httpadapter: that was the last event")

// Compacted says what is not told: the events after this one, which is the last
// that was, up to the event's id or, if it has none, to the present. What they
// said is to be read anew.
type Compacted struct {
	After int64 `json:"after"`
}

// sink is what the events of a feed are sent to. Its errors say that the client
// has gone.
type sink interface {
	// add takes an event to be sent, and reports whether that is enough at once.
	add(e Event) (full bool)
	// flush sends in bounded time what was added.
	flush() error
	// alive sends a sign of life. Passed is the id of what was passed over since
	// the last event, 0 for none.
	alive(passed int64) error
}

// stream is one open event stream: a feed that is sent to a sink.
//
// A goroutine takes events from the feed into a short queue. When that is full
// it leaves the feed and comes back to it, at the same event, when the queue
// has been sent: a slow reader holds up nothing in the engine, and loses
// nothing. One that does not read at all is cut off after writeTimeout.
type stream struct {
	from      Feed
	compacted error
	to        sink

	queue  chan Event
	sent   chan struct{} // the queue has been sent
	passed atomic.Int64  // the last id passed over; what is queued later is after it
	told   int64         // the last id sent; send's
	err    error         // why the feed ended; set before queue is closed
}

// send sends the events that follow after until the feed ends, ctx does, or the
// client goes: that is no failure, whatever error the feed has for it, the
// context's or its cause. When events after the given one are no longer kept,
// which is the error compacted, an event of that name says so and the stream
// goes on from now.
func send(ctx context.Context, after int64, from Feed, compacted error, to sink) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{from: from, compacted: compacted, to: to, queue: make(chan Event, maxQueued), sent: make(chan struct{}, 1)}
	var work sync.WaitGroup
	work.Go(func() { s.follow(ctx, after) })
	defer work.Wait()
	defer cancel()
	return s.send(ctx)
}

// follow fills the queue until the feed ends, and closes it.
func (s *stream) follow(ctx context.Context, after int64) {
	defer close(s.queue)
	defer func() {
		if p := recover(); p != nil {
			s.err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	for {
		var err error
		if after, err = s.fill(ctx, after); errors.Is(err, s.compacted) && after >= 0 {
			select {
			case s.queue <- Event{Name: "compacted", Data: Compacted{After: after}}:
			case <-ctx.Done():
				return
			}
			after = -1
			continue
		}
		if err != nil {
			s.err = err
			return
		}
		select {
		case <-s.sent:
		case <-ctx.Done():
			return
		}
	}
}

// fill takes events from the feed until the queue is full. It returns the last
// one taken.
func (s *stream) fill(ctx context.Context, after int64) (int64, error) {
	for e, err := range s.from(ctx, after) {
		if err != nil {
			return after, err
		}
		if e.Name == "" {
			s.passed.Store(e.ID)
			after = e.ID
			continue
		}
		select {
		case s.queue <- e:
			after = e.ID
		default:
			return after, nil
		}
	}
	return after, errors.New("httpadapter: the events ended")
}

// send sends what is in the queue until it is closed or the client has gone.
func (s *stream) send(ctx context.Context) error {
	idle := time.NewTimer(heartbeat)
	defer idle.Stop()
	for err := s.to.flush(); err == nil; { // else the client has gone
		idle.Reset(heartbeat)
		select {
		case e, open := <-s.queue:
			if !open {
				return s.ended(ctx)
			}
			err = s.batch(e)
		case <-idle.C:
			err = s.to.alive(s.news())
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// news is the id of what was passed over since the last event: it moves where to
// resume, and readers are told of nothing. What was queued before has been sent
// if the queue is empty after passed was read.
func (s *stream) news() int64 {
	passed := s.passed.Load()
	if passed <= s.told || len(s.queue) > 0 {
		return 0
	}
	s.told = passed
	return passed
}

// batch sends e and what else is in the queue, as much as the sink takes at once.
func (s *stream) batch(e Event) error {
	for {
		full := s.to.add(e)
		s.told = max(s.told, e.ID)
		if full || len(s.queue) == 0 {
			break
		}
		e = <-s.queue
	}
	if len(s.queue) == 0 {
		select {
		case s.sent <- struct{}{}:
		default:
		}
	}
	return s.to.flush()
}

// ended returns why the feed ended, unless that is because the client went.
func (s *stream) ended(ctx context.Context) error {
	if ctx.Err() != nil || errors.Is(s.err, ErrFeedEnds) {
		return nil
	}
	return s.err
}
