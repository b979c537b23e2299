package web

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	part     = 64 << 10        // bytes of a reply that a client has partTimeout to accept
	maxPage  = 4 << 20         // bytes of the items of a page
	patience = 5 * time.Second // how long a long reply waits for others to end

	// partTimeout is more than writeTimeout: what a system keeps for a connection
	// may be megabytes, and it tells of room only when a good part of them has gone.
	partTimeout = time.Minute
)

// List answers with a list of any length: the items between two texts. It is
// sent part by part, so that it is never in memory as a whole. An error before
// the first part is a whole failure, a later one breaks the reply off. An item
// is encoded as JSON, unless it is Encoded.
func List[T any](c *Call, before string, items iter.Seq2[T, error], after string) error {
	r := newLong(c, before)
	for item, err := range items {
		if err == nil {
			err = r.add(textOf(item))
		}
		if err != nil {
			return r.fail(err)
		}
	}
	return r.end(after)
}

// Page answers with at most limit items of a list of our own, and of maxPage
// bytes, but for a single one that is longer: {"name": […], "next": …}, where
// next is the id of the last, absent on the last page.
func Page[T any](c *Call, name string, limit int, items iter.Seq2[T, error], id func(T) string) error {
	return page(c, fmt.Sprintf("{%q:[", name), limit, items, id)
}

// PageOf is Page of a list that has more to tell than its items: the members of
// head, an object, come before them.
func PageOf[T any](c *Call, head any, name string, limit int, items iter.Seq2[T, error], id func(T) string) error {
	text := strings.TrimSuffix(string(Encode(head)), "}")
	return page(c, fmt.Sprintf("%s,%q:[", text, name), limit, items, id)
}

func page[T any](c *Call, before string, limit int, items iter.Seq2[T, error], id func(T) string) error {
	r := newLong(c, before)
	last, count, size := "", 0, 0
	for item, err := range items {
		if err != nil {
			return r.fail(err)
		}
		text := textOf(item)
		if count == limit || count > 0 && size+len(text) > maxPage {
			return r.end(fmt.Sprintf(`],"next":%s}`, Encode(last)))
		}
		if err := r.add(text); err != nil {
			return r.fail(err)
		}
		last, count, size = id(item), count+1, size+len(text)
	}
	return r.end("]}")
}

// Map is f of everything in a list, errors included.
func Map[T, R any](list iter.Seq2[T, error], f func(T, error) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for v, err := range list {
			if !yield(f(v, err)) {
				return
			}
		}
	}
}

// Keep is what of a list is wanted, errors included.
func Keep[T any](list iter.Seq2[T, error], wanted func(T, error) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range list {
			if wanted(v, err) && !yield(v, err) {
				return
			}
		}
	}
}

// OrElse is a list that must have something in it, or this error.
func OrElse[T any](list iter.Seq2[T, error], none error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		empty := true
		for v, err := range list {
			empty = false
			if !yield(v, err) {
				return
			}
		}
		if empty {
			yield(*new(T), none)
		}
	}
}

// All is a list of what is in memory anyway.
func All[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// textOf is the JSON of an item.
func textOf[T any](item T) Encoded {
	if text, isEncoded := any(item).(Encoded); isEncoded {
		return text
	}
	return Encode(item)
}

// long is a JSON reply that is sent part by part once it is long.
type long struct {
	c     *Call
	text  []byte // what is not sent yet
	items bool   // there are some
	sent  int    // bytes
	out   *PatientWriter
}

func newLong(c *Call, text string) *long { return &long{c: c, text: []byte(text)} }

// add adds an item, and sends what there is if it is much.
func (r *long) add(item Encoded) error {
	if r.items {
		r.text = append(r.text, ',')
	}
	r.items = true
	if len(r.text)+len(item) < part {
		r.text = append(r.text, item...)
		return nil
	}
	if err := r.send(r.text); err != nil {
		return err
	}
	r.text = r.text[:0]
	if len(item) < part {
		r.text = append(r.text, item...)
		return nil
	}
	return r.send(item)
}

// send sends a text. Of a HEAD it only counts.
func (r *long) send(text []byte) (err error) {
	r.sent += len(text)
	if r.c.Request.Method == http.MethodHead {
		return nil
	}
	if r.out == nil {
		if r.out, err = r.c.Begin(); err != nil {
			return err
		}
	}
	if _, err := r.out.Write(text); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	return nil
}

// end sends the rest.
func (r *long) end(text string) error {
	r.text = append(r.text, text...)
	switch {
	case r.out != nil:
		return r.send(append(r.text, '\n')) // for terminals
	case r.sent > 0:
		r.c.head(http.StatusOK, "application/json", r.sent+len(r.text)+1)
		return nil
	}
	return r.c.Reply(http.StatusOK, Encoded(r.text))
}

// fail answers with an error, or breaks off what has been begun.
func (r *long) fail(err error) error {
	if r.out != nil {
		r.c.Break(err)
	}
	return err
}

// Begin sends the head of a JSON reply whose length is not known: it is one of
// the long replies from then on. While there are too many of them it waits for
// one to end, for a while.
func (c *Call) Begin() (*PatientWriter, error) {
	if err := c.BeLong(); err != nil {
		return nil, err
	}
	c.Header().Set("Content-Type", "application/json")
	c.status = http.StatusOK
	c.Writer.WriteHeader(http.StatusOK)
	return &PatientWriter{w: c.Writer, control: http.NewResponseController(c.Writer)}, nil
}

// Download answers with bytes of any kind and number, part by part. An error before
// the first of them is a whole failure, a later one breaks the reply off.
func (c *Call) Download(content io.Reader) error {
	some := make([]byte, part)
	n, err := content.Read(some)
	if n == 0 && err != nil && err != io.EOF {
		return err
	}
	if err := c.BeLong(); err != nil {
		return err
	}
	c.Header().Set("Content-Type", bytesMedia)
	c.status = http.StatusOK
	c.Writer.WriteHeader(http.StatusOK)
	out := &PatientWriter{w: c.Writer, control: http.NewResponseController(c.Writer)}
	for {
		if _, failed := out.Write(some[:n]); failed != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			c.Break(err)
		}
		n, err = content.Read(some)
	}
}

const bytesMedia = "application/octet-stream"

// BeLong counts one more long reply, until the request ends. A handler calls it
// before it keeps much in memory, whatever becomes of the reply.
func (c *Call) BeLong() (err error) {
	if c.long != nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(c.Context(), patience, TooManyLong.After(patience))
	defer cancel()
	c.long, err = c.server.replies.wait(ctx, c.By.ID)
	return err
}

// leave ends what BeLong began.
func (c *Call) leave() {
	if c.long != nil {
		c.long()
	}
}

// Break breaks off a reply that has begun, so that the client sees a broken
// one, not a short one, and logs why, unless that is the client.
func (c *Call) Break(err error) {
	if !c.HasLeft(err) {
		c.fail(err)
	}
	panic(http.ErrAbortHandler)
}

// PatientWriter is a reply that gives each write as long as a client may take to
// accept it. The server's own WriteTimeout counts from the request.
type PatientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Write sends all of text, or returns an error of the connection.
func (p *PatientWriter) Write(text []byte) (written int, err error) {
	for some := range slices.Chunk(text, part) {
		// A ResponseWriter without deadlines is one whose owner sees to them.
		_ = p.control.SetWriteDeadline(time.Now().Add(partTimeout))
		n, err := p.w.Write(some)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
