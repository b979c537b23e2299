package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"
)

// writeTimeout is how long a client may take to accept what it is sent, or to
// answer a ping.
const writeTimeout = 10 * time.Second

// Call is one request on its way to a handler, and its reply.
type Call struct {
	Route   *Route // nil for what has none
	Request *http.Request
	Writer  http.ResponseWriter
	Query   url.Values // no name comes twice
	By      Who

	server *Server
	speaks *Dialect
	ids    map[string]string
	body   body
	lifted bool   // the server's WriteTimeout
	long   func() // ends it as one of those that Config.Replies bounds; nil: it is none
	status int    // of the reply; 0 until it begins
}

// Context is the request's.
func (c *Call) Context() context.Context { return c.Request.Context() }

// Header is that of the reply.
func (c *Call) Header() http.Header { return c.Writer.Header() }

// ServeHTTP takes a request through method, size, origin, credential and
// rights to its handler, which looks at the content and calls the domain.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{server: e.server, speaks: e.speaks, Writer: w, Request: r}
	finish := func(int) {}
	defer func() { finish(c.status) }()
	defer c.leave()
	defer c.catch()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")

	c.setReadDeadline()
	err := c.admit(e)
	if observe := e.server.config.Observe; observe != nil {
		shown := c.Route
		if shown == nil {
			shown = &Route{API: e.speaks.API, Pattern: e.pattern}
		}
		ctx, done := observe(r.Context(), shown, c.By)
		c.Request, finish = r.WithContext(ctx), done
	}
	if err == nil {
		err = c.handle()
	}
	if err != nil {
		c.fail(err)
	}
}

// handle calls the route's handler. A slow one is given all the time it needs:
// the server's WriteTimeout counts from the request and is lifted until the
// reply.
func (c *Call) handle() error {
	if c.Route.Slow {
		c.lifted = http.NewResponseController(c.Writer).SetWriteDeadline(time.Time{}) == nil
	}
	return c.Route.Handle(c)
}

// admit decides whether the request gets to its handler.
func (c *Call) admit(e *endpoint) error {
	var err error
	if c.Route, err = e.route(c.Request.Method); err != nil {
		if e.allow != "" {
			c.Writer.Header().Set("Allow", e.allow)
		}
		return err
	}
	if err := c.checkSize(); err != nil {
		return err
	}
	if err := c.checkOrigin(); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	return c.readPath()
}

// fail answers with what went wrong. What nobody outside may know goes to the
// log, under an id that the caller is told.
func (c *Call) fail(err error) {
	if c.status != 0 {
		if _, known := c.speaks.failure(err); !known || ofEngine(err) {
			c.server.log.ErrorContext(c.Request.Context(), "httpadapter: reply cut short", c.about(err)...)
		}
		return
	}
	reply, known := c.speaks.failure(err)
	if !known && c.HasLeft(err) {
		reply, known = c.speaks.failure(Unavailable)
	}
	if !known {
		reply, _ = c.speaks.failure(internal(c.Report(err)))
	} else if ofEngine(err) {
		c.Report(err)
	} else if c.speaks.Terse && c.By.ID != "" && !c.HasLeft(err) {
		c.heard(err)
	}
	if reply.Retry > 0 {
		c.Writer.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(reply.Retry.Seconds()))))
	}
	c.Send(reply)
}

// heard logs why the caller, whom nothing else tells, was refused.
func (c *Call) heard(err error) {
	left, ok := c.server.heard.tell(refusedTo{c.By.ID, c.Route.Pattern}, err.Error())
	if !ok {
		return
	}
	about := c.about(err)
	if left > 0 {
		about = append(about, slog.Int("left_out", left))
	}
	c.server.log.InfoContext(c.Request.Context(), "httpadapter: refused", about...)
}

// Report logs what nobody outside may know, and returns the id under which.
func (c *Call) Report(err error) (requestID string) {
	id := rand.Text()
	c.server.log.ErrorContext(c.Request.Context(), "httpadapter: request failed",
		append(c.about(err), slog.String("request_id", id))...)
	return id
}

// HasLeft reports whether err says only that the client has gone, or ran out
// of patience. Other deadlines than the request's are failures of ours.
func (c *Call) HasLeft(err error) bool {
	ctx := c.Request.Context()
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// about describes the request for the log. It leaves out the query and the
// body, where secrets are.
func (c *Call) about(err error) []any {
	attrs := []any{slog.String("method", c.Request.Method), slog.Any("err", err)}
	if c.Route != nil {
		attrs = append(attrs, slog.String("route", c.Route.Pattern), slog.String("principal", c.By.ID))
	}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	return attrs
}

// Reply sends a handler's result. A long one is one of the long replies: the
// error is that there are too many of them. One that tells what has been done
// is never refused.
func (c *Call) Reply(status int, body any) error {
	if body == nil {
		c.Send(Answer{Status: status})
		return nil
	}
	text := textOf(body)
	if len(text) > part && !c.Route.Changes {
		if err := c.BeLong(); err != nil {
			return err
		}
	}
	c.Send(Answer{Status: status, Body: text})
	return nil
}

// Send sends an answer. An error of the connection has nobody to go to.
func (c *Call) Send(reply Answer) {
	if reply.Challenge != "" {
		c.Header().Set("WWW-Authenticate", reply.Challenge)
	}
	if reply.Body == nil {
		c.head(reply.Status, "", 0)
		return
	}
	text := append(textOf(reply.Body), '\n') // for terminals
	c.head(reply.Status, cmp.Or(reply.Media, "application/json"), len(text))
	if c.Request.Method != http.MethodHead {
		c.write(text)
	}
}

// head sends the head of a reply whose length is known.
func (c *Call) head(status int, media string, length int) {
	if media != "" {
		c.Header().Set("Content-Type", media)
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.Header().Set("Content-Length", strconv.Itoa(length))
	}
	if c.lifted {
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	c.status = status
	c.Writer.WriteHeader(status)
}

// write sends a text. A long one goes part by part, so that one who does not
// read does not keep it in memory for ever, and one who reads slowly gets it.
func (c *Call) write(text []byte) {
	if len(text) <= part { // all of it may fit into buffers
		_, _ = c.Writer.Write(text)
		return
	}
	w := &PatientWriter{w: c.Writer, control: http.NewResponseController(c.Writer)}
	_, _ = w.Write(text)
}

// Encoded is a body that is JSON already.
type Encoded []byte

// Encode is json.Marshal of what can be encoded.
func Encode(v any) Encoded {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encoding a %T: %w", v, err))
	}
	return text
}

// panicError is a panic of a handler or of what it called.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("httpadapter: panic: %v", e.value) }

// catch answers for a handler that panicked.
func (c *Call) catch() {
	p := recover()
	switch {
	case p == nil:
		return
	case p == http.ErrAbortHandler:
		panic(p)
	}
	begun := c.status != 0
	c.fail(&panicError{value: p, stack: debug.Stack()})
	if begun {
		panic(http.ErrAbortHandler) // so that the client sees a broken reply, not a short one
	}
}
