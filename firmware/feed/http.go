package feed

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/built"
	"github.com/upkeep-go/upkeep/internal/fetch"
)

var _ firmware.Feed = (*HTTP)(nil)

// HTTP reads the objects below a URL, by ranges. The zero fields of all but URL
// mean their defaults. It remembers the catalog and its ETag, so that to hear
// that there is nothing new costs a request without content; but not with
// AllowHTTP over http. It is not to be
// copied once it is used, and safe for concurrent use.
//
// It follows 10 redirects, but not from https to http. A page in the place of an
// object, such as that of a network which wants its users to log in, is
// firmware.ErrUnavailable, so that a run asks again for as long as its GiveUp.
type HTTP struct {
	URL    string       // required; https, or http to a loopback address
	Client *http.Client // default: one whose clock never runs before the program was built
	Header http.Header  // sent to the first host only; default none
	// AllowHTTP allows http to any host: what comes is verified all the same.
	AllowHTTP bool

	mu      sync.Mutex
	client  *http.Client
	catalog answer
}

// answer is a catalog as it came.
type answer struct {
	etag string
	body []byte
	at   time.Time
}

const (
	// maxAnswer bounds what is remembered of a catalog, in bytes.
	maxAnswer = 1 << 20
	// answerLife is how long it is asked about: one that came damaged from a
	// server that goes on to call it current is asked for anew then.
	answerLife = 7 * 24 * time.Hour
	// maxSkip is how many bytes in front of the wanted ones are passed over when
	// a server ignores ranges.
	maxSkip = 64 << 20
)

// Get implements firmware.Feed. 403, 404 and 410 are firmware.ErrNotFound,
// Retry-After is in a *firmware.UnavailableError. An object that is shorter than
// what is asked for is firmware.ErrCorrupt. Of a server that ignores ranges it
// passes over the first 64 MiB.
func (h *HTTP) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if off < 0 || n == 0 {
		return nil, fmt.Errorf("%w: %d bytes from %d", firmware.ErrInvalid, n, off)
	}
	base, err := url.Parse(h.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: HTTP.URL cannot be parsed", firmware.ErrInvalid) // a password may be in it
	}
	header := h.Header
	whole := name == firmware.CatalogName && off == 0 && n < 0
	var known answer
	// Over http anybody on the way could put his own answer under a server's ETag.
	remembers := whole && !(h.AllowHTTP && base.Scheme == "http")
	if remembers {
		if known = h.known(); known.etag != "" {
			header = header.Clone()
			if header == nil {
				header = http.Header{}
			}
			header.Set("If-None-Match", known.etag)
		}
	}
	c := fetch.Client{HTTP: h.sender(), Header: header, Stall: stall, AllowHTTP: h.AllowHTTP}
	part, err := c.Get(ctx, base.JoinPath(name), off, n, "")
	if refusal, is := errors.AsType[*fetch.Refusal](err); is && refusal.Code == http.StatusNotModified && known.etag != "" {
		return io.NopCloser(bytes.NewReader(known.body)), nil
	}
	if err != nil {
		return nil, failure(ctx, err)
	}
	if part.Body, err = noPage(part); err != nil {
		return nil, err
	}
	if remembers {
		return h.remembering(part), nil
	}
	if whole {
		return part.Body, nil
	}
	return only(part, name, off, n)
}

var errPage = errors.New("feed: a page of HTML came in its place, of a network where one has to log in, or of a server for what it has not")

// noPage returns the body of an answer that is no page: nothing of a feed begins
// as one, whatever Content-Type a server gives it.
func noPage(part fetch.Part) (io.ReadCloser, error) {
	media, _, _ := mime.ParseMediaType(part.Media)
	if part.First > 0 || media != "text/html" && media != "application/xhtml+xml" {
		return part.Body, nil
	}
	body := bufio.NewReader(part.Body)
	front, _ := body.Peek(64) // of a short one there is less, and Read tells why
	if bytes.HasPrefix(bytes.TrimLeft(front, "\ufeff \t\r\n"), []byte("<")) {
		_ = part.Body.Close() // nothing was written
		return nil, &firmware.UnavailableError{Err: errPage}
	}
	return struct {
		io.Reader
		io.Closer
	}{body, part.Body}, nil
}

// stall is none that counts: the Service looks how long a feed is silent.
const stall = time.Hour

// failure is an error of package fetch as one of this domain.
func failure(ctx context.Context, err error) error {
	refusal, refused := errors.AsType[*fetch.Refusal](err)
	passing, passes := errors.AsType[*fetch.Passing](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist), refused && refusal.Code == http.StatusForbidden: // as some answer for what is not there
		return fmt.Errorf("%w: %w", firmware.ErrNotFound, err)
	case errors.Is(err, fetch.ErrRange):
		return fmt.Errorf("%w: %w", firmware.ErrCorrupt, err)
	case errors.Is(err, fetch.ErrInsecure):
		return fmt.Errorf("%w: %w", firmware.ErrInvalid, err)
	case passes:
		return &firmware.UnavailableError{After: passing.After, Err: err}
	}
	return &firmware.UnavailableError{Err: err}
}

// sender is the client that is used.
func (h *HTTP) sender() *http.Client {
	if h.Client != nil {
		return h.Client
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		// Without a clock of its own a device begins in 1970, when no certificate
		// was valid yet.
		transport.TLSClientConfig = &tls.Config{Time: built.Now}
		h.client = &http.Client{Transport: transport}
	}
	return h.client
}

func (h *HTTP) known() answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if age := time.Since(h.catalog.at); age < 0 || age > answerLife {
		h.catalog = answer{}
	}
	return h.catalog
}

// remembering is the body of a catalog, which is remembered once it has been
// read to its end.
func (h *HTTP) remembering(part fetch.Part) io.ReadCloser {
	return &catalogBody{ReadCloser: part.Body, h: h, etag: part.ETag}
}

type catalogBody struct {
	io.ReadCloser
	h    *HTTP
	etag string
	seen []byte
}

func (b *catalogBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.etag != "" {
		b.seen = append(b.seen, p[:n]...)
	}
	if len(b.seen) > maxAnswer {
		b.etag, b.seen = "", nil
	}
	if err == io.EOF {
		b.h.mu.Lock()
		defer b.h.mu.Unlock()
		b.h.catalog = answer{etag: b.etag, body: b.seen, at: time.Now()}
	}
	return n, err
}

// only is n bytes from off of an answer, which may begin earlier and end later.
func only(part fetch.Part, name string, off, n int64) (io.ReadCloser, error) {
	skip := off - part.First
	var err error
	switch {
	case part.Total >= 0 && (off > part.Total || n > part.Total-off):
		err = fmt.Errorf("%w: object %q has %d bytes, %d from %d are wanted", firmware.ErrCorrupt, name, part.Total, n, off)
	case skip > maxSkip:
		err = &firmware.UnavailableError{Err: fmt.Errorf("feed: the server ignores ranges, and %d bytes are in front of the wanted ones", skip)}
	}
	if err != nil {
		_ = part.Body.Close() // nothing was written
		return nil, err
	}
	return &window{body: part.Body, skip: skip, left: n}, nil
}

// window is a part of a body: left bytes, all if it is negative, after skip.
type window struct {
	body       io.ReadCloser
	skip, left int64
}

// Read returns nothing as long as it passes over what is in front: each piece of
// that is a sign of life of the server all the same.
func (w *window) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	if w.skip > 0 && len(p) > 0 {
		n, err := w.body.Read(p[:min(int64(len(p)), w.skip)])
		w.skip -= int64(n)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	if w.left > 0 {
		p = p[:min(int64(len(p)), w.left)]
	}
	n, err := w.body.Read(p)
	if w.left > 0 {
		w.left -= int64(n)
		switch {
		case w.left == 0:
			err = io.EOF
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (w *window) Close() error { return w.body.Close() }
