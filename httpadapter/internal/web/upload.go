package web

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

// Upload is the file in the body of a route that takes one of any length, as a
// browser's form sends it: multipart, with one part, whose name is file. Nothing
// of it is kept in memory. The body has at most Route.Body bytes, of which each
// 64 KiB must come within readTimeout. The errors, those of reading too, are
// refusals; a file without one is whole.
func (c *Call) Upload() (io.Reader, error) {
	header := c.Request.Header.Values("Content-Type")
	if len(header) != 1 {
		return nil, notMultipart
	}
	media, parameters, err := mime.ParseMediaType(header[0])
	if err != nil || media != "multipart/form-data" || parameters["boundary"] == "" {
		return nil, notMultipart
	}
	body := &patientReader{c: c, body: http.MaxBytesReader(c.Writer, c.Request.Body, c.Route.Body)}
	parts := multipart.NewReader(body, parameters["boundary"])
	file, err := parts.NextRawPart()
	if err != nil {
		return nil, malformed(err)
	}
	if file.FormName() != "file" || file.Header.Get("Content-Transfer-Encoding") != "" {
		return nil, BadBody.With("want one part, named file, as it is")
	}
	return &upload{parts, file}, nil
}

var notMultipart = BadMedia.With("Content-Type must be multipart/form-data")

type upload struct {
	parts *multipart.Reader
	file  *multipart.Part
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.file.Read(p)
	if err == io.EOF { // of the file: nothing may follow
		_, err = u.parts.NextRawPart()
		switch {
		case err == nil:
			return n, BadBody.With("more than one part")
		case err == io.EOF:
			return n, err
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
	read int // bytes since the deadline was set
}

func (r *patientReader) Read(p []byte) (int, error) {
	if r.read >= part {
		r.c.setReadDeadline()
		r.read = 0
	}
	n, err := r.body.Read(p)
	r.read += n
	if err == io.EOF {
		return n, err
	}
	return n, unread(err)
}
