package fetch

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// ErrInsecure reports an address, or a redirect to one, that anybody on the
// way could answer for.
var ErrInsecure = errors.New("not https")

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// Secure returns ErrInsecure unless u is https, or http to this very machine,
// or http to anywhere if that is allowed.
func Secure(u *url.URL, allowHTTP bool) error {
	switch {
	case u.Host == "" && (u.Scheme == "http" || u.Scheme == "https"):
		return fmt.Errorf("%w: no host in %q", ErrInsecure, Redacted(u))
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w, nor http: %q", ErrInsecure, Redacted(u))
	case u.Scheme == "https":
		return nil
	case allowHTTP || loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%w: %q", ErrInsecure, Redacted(u))
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Guarded is a copy of client, or of a default one, that follows no redirect
// that secure returns an error for.
func Guarded(client *http.Client, secure func(*url.URL) error) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	safe := *client
	safe.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if err := secure(r.URL); err != nil {
			return err
		}
		if client.CheckRedirect != nil {
			return client.CheckRedirect(r, via)
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
	return &safe
}

// Read reads what came from u, at most limit bytes.
func Read(r io.Reader, u *url.URL, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", Redacted(u), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", Redacted(u), limit)
	}
	return data, nil
}
