package httpadapter

import (
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

// writeTimeout is how long a client may take to accept what it is sent.
const writeTimeout = 10 * time.Second

// call is one request on its way to a handler, and its reply.
type call struct {
	adapter *Adapter
	route   *route
	speaks  dialect
	w       http.ResponseWriter
	r       *http.Request
	query   url.Values
	by      Principal
	body    body
	lifted  bool // the server's WriteTimeout
	status  int  // of the reply; 0 until it begins
}

// ServeHTTP takes a request through method, size, origin, credential and
// rights to its handler, which looks at the content and calls the domain.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{adapter: e.adapter, speaks: e.speaks, w: w, r: r}
	finish := func(int) {}
	defer func() { finish(c.status) }()
	defer c.catch()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")

	c.setReadDeadline()
	err := c.admit(e)
	if observe := e.adapter.config.Observe; observe != nil {
		shown := Route{API: e.speaks.api, Pattern: e.pattern}
		if c.route != nil {
			shown = c.route.Route
		}
		ctx, done := observe(r.Context(), shown, c.by)
		c.r, finish = r.WithContext(ctx), done
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
func (c *call) handle() error {
	if c.route.slow {
		c.lifted = http.NewResponseController(c.w).SetWriteDeadline(time.Time{}) == nil
	}
	return c.route.handle(c)
}

// admit decides whether the request gets to its handler.
func (c *call) admit(e *endpoint) error {
	var err error
	if c.route, err = e.route(c.r.Method); err != nil {
		if e.allow != "" {
			c.w.Header().Set("Allow", e.allow)
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
	return c.checkPath()
}

// fail answers with what went wrong. What nobody outside may know goes to the
// log, under an id that the caller is told.
func (c *call) fail(err error) {
	if c.status != 0 {
		if _, known := c.speaks.failure(err); !known {
			c.adapter.log.ErrorContext(c.r.Context(), "httpadapter: reply cut short", c.about(err)...)
		}
		return
	}
	reply, known := c.speaks.failure(err)
	if !known && c.hasLeft(err) {
		reply, known = c.speaks.failure(unavailable)
	}
	if !known {
		reply, _ = c.speaks.failure(internal(c.report(err)))
	}
	var refused *refusal
	if errors.As(err, &refused) && refused.retry > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refused.retry.Seconds()))))
	}
	c.send(reply)
}

// report logs what nobody outside may know, and returns the id under which.
func (c *call) report(err error) (requestID string) {
	id := rand.Text()
	c.adapter.log.ErrorContext(c.r.Context(), "httpadapter: request failed",
		append(c.about(err), slog.String("request_id", id))...)
	return id
}

// hasLeft reports whether err says only that the client has gone, or ran out
// of patience. Other deadlines than the request's are failures of ours.
func (c *call) hasLeft(err error) bool {
	ctx := c.r.Context()
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// about describes the request for the log. It leaves out the query and the
// body, where secrets are.
func (c *call) about(err error) []any {
	attrs := []any{slog.String("method", c.r.Method), slog.Any("err", err)}
	if c.route != nil {
		attrs = append(attrs, slog.String("route", c.route.Pattern), slog.String("principal", c.by.ID))
	}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	return attrs
}

// reply sends a handler's result.
func (c *call) reply(status int, body any) error {
	c.send(answer{status: status, body: body})
	return nil
}

// send sends an answer. An error of the connection has nobody to go to.
func (c *call) send(reply answer) {
	text, isEncoded := reply.body.(encoded)
	if !isEncoded {
		text = encode(reply.body)
	}
	header := c.w.Header()
	if reply.body == nil {
		text = nil
	} else {
		text = append(text, '\n') // for terminals
		header.Set("Content-Type", orJSON(reply.media))
	}
	if reply.challenge != "" {
		header.Set("WWW-Authenticate", reply.challenge)
	}
	if reply.status != http.StatusNoContent && reply.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(text)))
	}
	if c.lifted {
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	c.status = reply.status
	c.w.WriteHeader(reply.status)
	if c.r.Method != http.MethodHead {
		c.write(text)
	}
}

// part is how much of a reply a client has writeTimeout to accept.
const part = 64 << 10

// write sends a text. A long one goes part by part, so that one who does not
// read does not keep it in memory for ever, and one who reads slowly gets it.
func (c *call) write(text []byte) {
	if len(text) <= part { // all of it may fit into buffers
		_, _ = c.w.Write(text)
		return
	}
	w := &patientWriter{w: c.w, control: http.NewResponseController(c.w)}
	_, _ = w.Write(text)
}

// encoded is a body that is JSON already.
type encoded []byte

func encode(v any) encoded {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encoding a %T: %w", v, err))
	}
	return text
}

func orJSON(media string) string {
	if media == "" {
		return "application/json"
	}
	return media
}

// panicError is a panic of a handler or of what it called.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("httpadapter: panic: %v", e.value) }

// catch answers for a handler that panicked.
func (c *call) catch() {
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
