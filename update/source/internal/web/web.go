// Package web asks servers, for the sources that do: by addresses that can be
// trusted, within bounds, and with errors that repeat no secrets.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// Timeout bounds a request of a client that has no timeout of its own.
const Timeout = 30 * time.Second

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// Secure returns source.ErrInsecure unless u is https, or http to this very
// machine, or http to anywhere if that is allowed.
func Secure(u *url.URL, allowHTTP bool) error {
	switch {
	case u.Host == "":
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (allowHTTP || loopback(u.Hostname())):
		return nil
	}
	return fmt.Errorf("%w: %q", source.ErrInsecure, fetch.Redacted(u))
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Guarded is a copy of client, or of a default one, that follows a redirect to
// nowhere that is not secure.
func Guarded(client *http.Client, allowHTTP bool) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	safe := *client
	safe.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if err := Secure(r.URL, allowHTTP); err != nil {
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

// Get asks for u. The error repeats no secrets.
func Get(ctx context.Context, client *http.Client, u *url.URL, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("source: %q cannot be asked for", fetch.Redacted(u))
	}
	r.Header = header.Clone()
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", fetch.Redacted(u), fetch.Cause(err))
	}
	return resp, nil
}

// Read reads what came from u, at most limit bytes.
func Read(r io.Reader, u *url.URL, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", fetch.Redacted(u), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("source: %s has more than %d bytes", fetch.Redacted(u), limit)
	}
	return data, nil
}

// Refusal is the error of an answer of u that is not OK: update.ErrNotFound if
// there is nothing.
func Refusal(resp *http.Response, u *url.URL) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %s", update.ErrNotFound, fetch.Redacted(u))
	}
	return fmt.Errorf("source: %s answered %s", fetch.Redacted(u), resp.Status)
}

// ReadFile reads the file of a file URL, at most limit bytes. One that is not
// there is update.ErrNotFound.
func ReadFile(u *url.URL, limit int64) ([]byte, error) {
	path := filepath.FromSlash(u.Path)
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, `\`) // of /C:/folder
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", update.ErrNotFound, fetch.Redacted(u))
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", fetch.Redacted(u), err)
	}
	defer f.Close()
	return Read(f, u, limit)
}
