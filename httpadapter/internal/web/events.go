package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	heartbeat = 15 * time.Second // between signs of life of an idle stream
	maxQueued = 64               // events of one stream that wait to be written
	maxText   = 1 << 20          // bytes after which what is queued is sent in parts
)

// Event is one Server-Sent Event.
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

// ResumeAt returns the sequence number after which a stream begins: that of
// Last-Event-ID, which a browser sends when it reconnects, else of the query's
// after, else -1, which is now.
func (c *Call) ResumeAt() (int64, error) {
	values := c.Request.Header.Values("Last-Event-ID")
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return c.Number("after", 0, -1)
	}
	seq, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || len(values) > 1 {
		return 0, BadQuery.With("Last-Event-ID must be the id of an event")
	}
	return int64(seq), nil
}

// Stream sends the events of a feed until the feed ends, or the client goes:
// that is no failure, whatever error the feed has for it, the context's or its
// cause. When events after the given one are no longer kept, which is the error
// compacted, an event of that name says so and the stream goes on from now.
//
// A goroutine takes events from the feed into a short queue. When that is full
// it leaves the feed and comes back to it, at the same event, when the queue
// has been sent: a slow reader holds up nothing in the engine, and loses
// nothing. One that does not read at all is cut off after writeTimeout.
func (c *Call) Stream(after int64, from Feed, compacted error) error {
	leave := c.server.streams.enter(c.By.ID)
	if leave == nil {
		return TooManyOpen.After(heartbeat)
	}
	defer leave()
	ctx, cancel := context.WithCancel(c.Request.Context())
	s := &stream{
		w: c.Writer, control: http.NewResponseController(c.Writer), from: from, compacted: compacted,
		queue: make(chan Event, maxQueued), sent: make(chan struct{}, 1),
	}
	header := c.Writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // or nginx keeps events back
	c.status = http.StatusOK
	c.Writer.WriteHeader(http.StatusOK)

	var work sync.WaitGroup
	work.Go(func() { s.follow(ctx, after) })
	defer work.Wait()
	defer cancel()
	return s.write(ctx)
}

// stream is one open event stream.
type stream struct {
	w         http.ResponseWriter
	control   *http.ResponseController
	from      Feed
	compacted error

	queue  chan Event
	sent   chan struct{} // the queue has been sent
	passed atomic.Int64  // the last id passed over; what is queued later is after it
	told   int64         // the last id sent; write's
	err    error         // why the feed ended; set before queue is closed
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

// Compacted says what is not told: the events after this one, which is the last
// that was, up to the event's id or, if it has none, to the present. What they
// said is to be read anew.
type Compacted struct {
	After int64 `json:"after"`
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

// write sends what is in the queue until it is closed or the client has gone.
func (s *stream) write(ctx context.Context) error {
	idle := time.NewTimer(heartbeat)
	defer idle.Stop()
	text := []byte("retry: 2000\n\n") // how soon a browser reconnects, in ms
	for {
		if err := s.send(text); err != nil {
			return nil // the client has gone
		}
		idle.Reset(heartbeat)
		select {
		case e, open := <-s.queue:
			if !open {
				return s.ended(ctx)
			}
			text = s.batch(e)
		case <-idle.C:
			text = s.signOfLife()
		case <-ctx.Done():
			return nil
		}
	}
}

// signOfLife returns a comment, or the id of what was passed over since the
// last event: it moves where to resume, and readers are told of nothing. What
// was queued before has been sent if the queue is empty after passed was read.
func (s *stream) signOfLife() []byte {
	passed := s.passed.Load()
	if passed <= s.told || len(s.queue) > 0 {
		return []byte(":\n\n")
	}
	s.told = passed
	return fmt.Appendf(nil, "id: %d\n\n", passed)
}

// batch returns the text of e and of what else is in the queue, up to about
// maxText bytes.
func (s *stream) batch(e Event) []byte {
	text := e.append(nil)
	for len(s.queue) > 0 && len(text) < maxText {
		s.told = max(s.told, e.ID)
		e = <-s.queue
		text = e.append(text)
	}
	s.told = max(s.told, e.ID)
	if len(s.queue) > 0 {
		return text
	}
	select {
	case s.sent <- struct{}{}:
	default:
	}
	return text
}

// send writes text in bounded time.
func (s *stream) send(text []byte) error {
	// A ResponseWriter without deadlines is one whose owner sees to them.
	// The server's own WriteTimeout counts from the request: it is lifted.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	err := s.control.Flush()
	_ = s.control.SetWriteDeadline(time.Time{})
	return err
}

// ended returns why the feed ended, unless that is because the client went.
func (s *stream) ended(ctx context.Context) error {
	if ctx.Err() != nil || errors.Is(s.err, ErrFeedEnds) {
		return nil
	}
	return s.err
}

// append appends the event as text/event-stream has it.
func (e Event) append(text []byte) []byte {
	if e.ID > 0 {
		text = fmt.Appendf(text, "id: %d\n", e.ID)
	}
	data, err := json.Marshal(e.Data) // one line
	if err != nil {
		panic(fmt.Errorf("encoding a %T: %w", e.Data, err))
	}
	return fmt.Appendf(text, "event: %s\ndata: %s\n\n", e.Name, data)
}
