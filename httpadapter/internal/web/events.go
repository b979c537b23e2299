package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const maxText = 1 << 20 // bytes after which what is queued is sent in parts

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

// Stream sends the events of a feed as Server-Sent Events until the feed ends, or
// the client goes. The error compacted says that events after the given one are
// no longer kept.
func (c *Call) Stream(after int64, from Feed, compacted error) error {
	leave := c.server.streams.enter(c.By.ID)
	if leave == nil {
		return TooManyOpen.After(heartbeat)
	}
	defer leave()
	header := c.Writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // or nginx keeps events back
	c.status = http.StatusOK
	c.Writer.WriteHeader(http.StatusOK)
	return send(c.Context(), after, from, compacted, &eventStream{
		w: c.Writer, control: http.NewResponseController(c.Writer),
		text: []byte("retry: 2000\n\n"), // how soon a browser reconnects, in ms
	})
}

// eventStream is a sink of Server-Sent Events.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	text    []byte // what is not sent yet
}

func (s *eventStream) add(e Event) (full bool) {
	s.text = e.append(s.text)
	return len(s.text) >= maxText
}

// alive sends a comment, or an id and nothing else.
func (s *eventStream) alive(passed int64) error {
	s.text = []byte(":\n\n")
	if passed > 0 {
		s.text = fmt.Appendf(nil, "id: %d\n\n", passed)
	}
	return s.flush()
}

func (s *eventStream) flush() error {
	text := s.text
	s.text = nil
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
