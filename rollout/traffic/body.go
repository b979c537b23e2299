package traffic

import (
	"io"
	"maps"
	"net/http"
	"sync/atomic"
)

// upload is the body of a request. It can be read after it was closed by an
// attempt that has sent nothing, and knows whether the client failed. Once it has
// ended it is not asked again: a server closes what it has read to the end when
// the reply begins, and a transport that looks for more then would fail.
type upload struct {
	io.ReadCloser
	in      *http.Request
	trailer http.Header // for what comes after the body
	ended   bool
	err     atomic.Pointer[error]
}

func (u *upload) Read(p []byte) (int, error) {
	if u.ended {
		return 0, io.EOF
	}
	n, err := u.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		u.ended = true
		if u.trailer != nil {
			maps.Copy(u.trailer, u.in.Trailer)
		}
	case err != nil && u.err.Load() == nil:
		u.err.Store(&err)
	}
	return n, err
}

// Close does nothing: the server closes what it has opened.
func (u *upload) Close() error { return nil }

// failure is why the body cannot be read to its end, or nil.
func (u *upload) failure() error {
	if err := u.err.Load(); err != nil {
		return *err
	}
	return nil
}

// download is the body of a reply, which knows whether the service failed.
type download struct {
	io.ReadCloser
	err error
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
}
