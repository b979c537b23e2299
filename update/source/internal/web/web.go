// Package web asks servers, for the sources that do, with errors that say what
// the domain wants to know and repeat no secrets.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// Timeout bounds a request of a client that has no timeout of its own.
const Timeout = 30 * time.Second

// Secure returns source.ErrInsecure where fetch.Secure has something against u.
func Secure(u *url.URL, allowHTTP bool) error {
	if fetch.Secure(u, allowHTTP) != nil {
		return fmt.Errorf("%w: %q", source.ErrInsecure, fetch.Redacted(u))
	}
	return nil
}

// Guarded is a copy of client, or of a default one, that follows a redirect to
// nowhere that is not secure.
func Guarded(client *http.Client, allowHTTP bool) *http.Client {
	return fetch.Guarded(client, func(u *url.URL) error { return Secure(u, allowHTTP) })
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
	f, err := os.Open(fetch.File(u))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", update.ErrNotFound, fetch.Redacted(u))
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", fetch.Redacted(u), err)
	}
	defer f.Close()
	return Read(f, u, limit)
}

// Read reads what came from u, at most limit bytes.
func Read(r io.Reader, u *url.URL, limit int64) ([]byte, error) {
	data, err := fetch.Read(r, u, limit)
	if err != nil {
		err = fmt.Errorf("source: %w", err)
	}
	return data, err
}
