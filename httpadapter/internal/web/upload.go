package web

import (
	"bytes"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"sync"
	"time"
)

// Upload is the file in the body of a route that takes one of any length, as a
// browser's form sends it: multipart, with one part, whose name is file. Nothing
// of it is kept in memory. The body has at most Route.Body bytes, of which each
// 64 KiB must come within readTimeout, the file begins in the first 64 KiB, and the
// body ends with the part. The errors, those of reading too, are
// refusals; a file without one is whole. Close makes a Read that is under way
// return, if the ResponseWriter has deadlines, and every Read after it.
func (c *Call) Upload() (io.ReadCloser, error) {
	header := c.Request.Header.Values("Content-Type")
	if len(header) != 1 {
		return nil, notMultipart
	}
	media, parameters, err := mime.ParseMediaType(header[0])
	boundary := parameters["boundary"]
	if err != nil || media != "multipart/form-data" || boundary == "" || len(boundary) > maxBoundary {
		return nil, notMultipart
	}
	body := &patientReader{c: c, body: http.MaxBytesReader(c.Writer, c.Request.Body, c.Route.Body), head: part}
	parts := multipart.NewReader(body, boundary)
	file, err := parts.NextRawPart()
	body.head = math.MaxInt
	if err != nil {
		return nil, malformed(err)
	}
	if file.FormName() != "file" || file.Header.Get("Content-Transfer-Encoding") != "" {
		return nil, BadBody.With("want one part, named file, as it is")
	}
	return &upload{body: body, boundary: boundary, parts: parts, file: file}, nil
}

var notMultipart = BadMedia.With("Content-Type must be multipart/form-data")

const (
	maxBoundary = 70      // characters, as RFC 2046 has it
	tail        = 8 << 10 // bytes: more than a multipart.Reader reads ahead, and a boundary
)

type upload struct {
	body     *patientReader
	boundary string
	parts    *multipart.Reader
	file     *multipart.Part
	err      error // of the last read
}

func (u *upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.read(p)
	u.err = err
	return n, err
}

// Close implements io.Closer.
func (u *upload) Close() error { return u.body.stop() }

func (u *upload) read(p []byte) (int, error) {
	n, err := u.file.Read(p)
	if err == io.EOF { // of the file: nothing may follow
		_, err = u.parts.NextRawPart()
		switch {
		case err == nil:
			return n, BadBody.With("more than one part")
		case err == io.EOF && u.body.endsWith("\r\n--"+u.boundary+"--"):
			return n, err
		case err == io.EOF:
			return n, BadBody.With("the body goes on after its part")
		}
	}
	if err != nil {
		err = malformed(err)
	}
	return n, err
}

// malformed is the refusal of a body that has no file in it.
func malformed(err error) error {
	if refused, ok := errors.AsType[*Refusal](err); ok {
		return refused
	}
	return BadBody.With("no whole file in parts")
}

// patientReader is a body that gives each part of it as long as a client has to
// send a short one.
type patientReader struct {
	c    *Call
	body io.Reader
	read int    // bytes since the deadline was set
	head int    // bytes that may still come before the file begins
	last []byte // of what has come, the tail at least

	mu      sync.Mutex
	waits   bool // a read is under way
	ended   bool // nothing of the body is left
	stopped bool
}

// restTimeout is how long the server goes on to read what is left of a body that
// nobody wants: a client whose bytes were not read may not see the reply.
const restTimeout = time.Second

// stop ends a read that is under way, and lets no other begin. The deadline of a
// body that has been read is left alone: it may be that of the next request.
func (r *patientReader) stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.ended {
		return nil
	}
	r.stopped = true
	if r.waits {
		return r.allow(0)
	}
	return r.allow(restTimeout)
}

func (r *patientReader) allow(d time.Duration) error {
	return http.NewResponseController(r.c.Writer).SetReadDeadline(time.Now().Add(d))
}

// begin is called before a read, which may be none any more.
func (r *patientReader) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return unread(http.ErrBodyReadAfterClose)
	}
	if r.read >= part {
		r.c.setReadDeadline()
		r.read = 0
	}
	r.waits = true
	return nil
}

// end is called after it.
func (r *patientReader) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits, r.ended = false, err == io.EOF
	if r.stopped && !r.ended {
		_ = r.allow(restTimeout)
	}
}

func (r *patientReader) Read(p []byte) (int, error) {
	if r.head <= 0 {
		return 0, BodyTooLong
	}
	if err := r.begin(); err != nil {
		return 0, err
	}
	n, err := r.body.Read(p)
	r.end(err)
	r.read += n
	r.head -= n
	if len(r.last) > 2*tail {
		r.last = append(r.last[:0], r.last[len(r.last)-tail:]...)
	}
	r.last = append(r.last, p[:n]...)
	if err == io.EOF {
		return n, err
	}
	return n, unread(err)
}

// endsWith reports whether the body has no more than what is in the tail already,
// and nothing after the first of these lines in there. It is the one that ended
// the part: a file has none.
func (r *patientReader) endsWith(line string) bool {
	if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
		return false
	}
	_, behind, found := bytes.Cut(r.last[max(0, len(r.last)-tail):], []byte(line))
	return found && len(bytes.TrimRight(bytes.TrimSuffix(behind, []byte("\r\n")), " \t")) == 0
}
