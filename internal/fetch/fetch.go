// Package fetch has what all who ask a server over HTTP need: a [Client] that
// fetches parts of files and distrusts who sends them, a [Transfer] that puts
// them together, when to [Retry],
// addresses that are [Secure], errors that repeat no secret, and how long the
// server wants to be left alone.
package fetch

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Redacted is a URL for people: without what may be secret in it, which is all
// but scheme, host and path.
func Redacted(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}

// Cause is the error of a client without the URL that the client adds to it,
// which may be one that the server has redirected to.
func Cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// RetryAfter is how long the server asks to wait, if it does. A date counts
// from the server's own clock, and one that has passed is no time.
func RetryAfter(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	return max(0, at.Sub(Now(h))), err == nil
}

// Now is the time of an answer by the server's clock, or else by this one.
func Now(h http.Header) time.Time {
	if now, err := http.ParseTime(h.Get("Date")); err == nil {
		return now
	}
	return time.Now()
}

// File is the path of a file URL.
func File(u *url.URL) string {
	path := u.Path
	if runtime.GOOS == "windows" { // file:///C:/path
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path)
}
