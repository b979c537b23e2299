package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// timeout bounds a request of a client that has no timeout of its own.
const timeout = 30 * time.Second

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// secure returns ErrInsecure unless u is https, or http to this very machine,
// or http to anywhere if that is allowed.
func secure(u *url.URL, allowHTTP bool) error {
	switch {
	case u.Host == "":
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (allowHTTP || loopback(u.Hostname())):
		return nil
	}
	return fmt.Errorf("%w: %q", ErrInsecure, public(u))
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// guarded is a copy of client, or of a default one, that follows a redirect to
// nowhere that is not secure.
func guarded(client *http.Client, allowHTTP bool) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	safe := *client
	safe.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if err := secure(r.URL, allowHTTP); err != nil {
			return err
		}
		if client.CheckRedirect != nil {
			return client.CheckRedirect(r, via)
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("source: more than %d redirects", maxRedirects)
		}
		return nil
	}
	return &safe
}

// get asks for u. The error repeats no secrets.
func get(ctx context.Context, client *http.Client, u *url.URL, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("source: %q cannot be asked for", public(u))
	}
	r.Header = header.Clone()
	resp, err := client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // its URL may hold secrets, also of where it was redirected to
		}
		return nil, fmt.Errorf("asking %s: %w", public(u), err)
	}
	return resp, nil
}

// slurp reads what came from u, at most limit bytes.
func slurp(r io.Reader, u *url.URL, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", public(u), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("source: %s has more than %d bytes", public(u), limit)
	}
	return data, nil
}
