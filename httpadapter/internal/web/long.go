package web

import (
	"net/http"
	"slices"
	"time"
)

// Begin sends the head of a JSON reply whose length is not known. An error of
// the writer is one of the connection: Break then.
func (c *Call) Begin() *PatientWriter {
	c.Header().Set("Content-Type", "application/json")
	c.status = http.StatusOK
	c.Writer.WriteHeader(http.StatusOK)
	return &PatientWriter{w: c.Writer, control: http.NewResponseController(c.Writer)}
}

// Long is a JSON reply that is sent part by part once it is long, so that it
// is never in memory as a whole.
type Long struct {
	Text []byte // what is not sent yet
	c    *Call
	out  *PatientWriter // nil until something is
}

// Long begins a long reply with a text.
func (c *Call) Long(text string) *Long { return &Long{c: c, Text: []byte(text)} }

// Flush sends what there is, if it is much.
func (r *Long) Flush() {
	if len(r.Text) >= part {
		r.send()
	}
}

func (r *Long) send() {
	if r.out == nil {
		r.out = r.c.Begin()
	}
	if _, err := r.out.Write(r.Text); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	r.Text = r.Text[:0]
}

// End sends the rest.
func (r *Long) End(text string) error {
	r.Text = append(r.Text, text...)
	if r.out == nil {
		return r.c.Reply(http.StatusOK, Encoded(r.Text))
	}
	r.Text = append(r.Text, '\n') // for terminals
	r.send()
	return nil
}

// Fail answers with an error, or breaks off what has been begun.
func (r *Long) Fail(err error) error {
	if r.out != nil {
		panic(http.ErrAbortHandler) // so that the client sees a broken reply, not a short one
	}
	return err
}

// PatientWriter is a reply that gives each write as long as a client may take to accept it.
// The server's own WriteTimeout counts from the request.
type PatientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Write sends all of text, or returns an error of the connection.
func (p *PatientWriter) Write(text []byte) (written int, err error) {
	for some := range slices.Chunk(text, part) {
		// A ResponseWriter without deadlines is one whose owner sees to them.
		_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout))
		n, err := p.w.Write(some)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
