package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrRange reports an answer that is not the range that was asked for: what was
// fetched before may be of something else.
var ErrRange = errors.New("the server has no such range")

// Client fetches parts of files from servers that may fall silent, send
// something else, or lie. A zero field means its documented default.
type Client struct {
	// HTTP sends the requests; Timeout and CheckRedirect are not used.
	// Default: one without cookies.
	HTTP *http.Client
	// Header is sent to the host and scheme that is asked first, and to no
	// other that it redirects to.
	Header http.Header
	// Stall is how long a server may take for the next byte. Default 30 seconds.
	Stall time.Duration
	// AllowHTTP is whether to ask other machines than this one by http.
	AllowHTTP bool
}

// Part is an answer.
type Part struct {
	// Body is to be closed. It ends, with an error that is Passing, when the
	// server is silent or cuts it short.
	Body io.ReadCloser
	// First is where Body begins: 0 also if another was asked for, when the
	// server ignores ranges or has other content now.
	First int64
	// Total is the length of the whole, or -1 if the server does not say.
	Total int64
	// ETag is a strong validator of the content, or "".
	ETag string
	// Media is the Content-Type of the answer, as the server has it.
	Media string
}

// Refusal is an answer without content. One that says that nothing is there is
// fs.ErrNotExist.
type Refusal struct {
	Code   int
	Status string
}

func (r *Refusal) Error() string { return "the server answered " + r.Status }

// Is reports whether target is fs.ErrNotExist and nothing is there.
func (r *Refusal) Is(target error) bool {
	return target == fs.ErrNotExist && (r.Code == http.StatusNotFound || r.Code == http.StatusGone)
}

// Get asks for n bytes, at least one, from first on, or for all to the end where
// n is negative; less may come. Where ifRange is given, the ETag of what was fetched before, they are
// of that. It follows 10 redirects, but not from https to http. What may pass
// is a *Passing: a network that fails, a silent server, one that answers 408,
// 425, 429 or 5xx, or ErrRange. No error repeats a secret of an address.
func (c *Client) Get(ctx context.Context, u *url.URL, first, n int64, ifRange string) (Part, error) {
	if err := Secure(u, c.AllowHTTP); err != nil {
		return Part{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stall := cmp.Or(c.Stall, 30*time.Second)
	b := &body{ctx: ctx, cancel: cancel, stall: stall, silence: time.AfterFunc(stall, func() {
		cancel(&Passing{Err: fmt.Errorf("the server is silent for %s", stall)})
	})}
	resp, err := c.send(ctx, u, wanted(first, n), ifRange)
	b.silence.Stop()
	if err != nil {
		err = b.failure(err)
		b.stop()
		return Part{}, err
	}
	b.answer = resp.Body
	part, err := accept(resp, first, n, ifRange)
	if err != nil {
		b.Close()
		return Part{}, err
	}
	b.left = part.length
	part.Body, part.Media = b, resp.Header.Get("Content-Type")
	return part.Part, nil
}

// wanted is the range to ask for, or "" for the whole.
func wanted(first, n int64) string {
	switch {
	case n >= 0:
		return fmt.Sprintf("bytes=%d-%d", first, first+n-1)
	case first > 0:
		return fmt.Sprintf("bytes=%d-", first)
	}
	return ""
}

// send follows redirects.
func (c *Client) send(ctx context.Context, u *url.URL, ranges, ifRange string) (*http.Response, error) {
	client := c.client()
	trusted := true // until a redirect has led elsewhere
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("%q cannot be asked for", Redacted(u))
		}
		if trusted && c.Header != nil {
			req.Header = c.Header.Clone()
		}
		req.Header.Set("Accept-Encoding", "identity") // else the transport asks for gzip, and unpacks it
		if ranges != "" {
			req.Header.Set("Range", ranges)
			if ifRange != "" {
				req.Header.Set("If-Range", ifRange)
			}
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, &Passing{Err: fmt.Errorf("asking %q: %w", u.Host, Cause(err))}
		}
		next, err := c.redirect(resp, u)
		if err != nil || next == nil {
			return resp, err
		}
		trusted = trusted && next.Scheme == u.Scheme && strings.EqualFold(next.Host, u.Host)
		u = next
	}
	return nil, fmt.Errorf("the server redirected more than %d times", maxRedirects)
}

func (c *Client) client() *http.Client {
	var client http.Client
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.Timeout = 0
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// redirect returns where an answer leads, whose body it has closed, or nil.
func (c *Client) redirect(resp *http.Response, from *url.URL) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	resp.Body.Close()
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, errors.New("the server redirected to nowhere")
	}
	err = Secure(to, c.AllowHTTP)
	if err == nil && from.Scheme == "https" && to.Scheme != "https" {
		err = fmt.Errorf("%w: %q", ErrInsecure, Redacted(to))
	}
	if err != nil {
		return nil, fmt.Errorf("the server redirected from %s: %w", from.Scheme, err)
	}
	return to, nil
}

// body is the body of an answer.
type body struct {
	ctx     context.Context // the request's, which ends when the server is silent
	cancel  context.CancelCauseFunc
	stall   time.Duration
	silence *time.Timer
	answer  io.ReadCloser
	left    int64 // bytes that are to come, or negative if it is not known
}

// Read returns what has come. The server is silent only while it is waited for.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	b.silence.Reset(b.stall)
	n, err := b.answer.Read(p)
	b.silence.Stop()
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case b.left == 0:
		return n, io.EOF // whatever becomes of the connection
	case err == io.EOF && b.left > 0:
		err = io.ErrUnexpectedEOF
	case err == io.EOF || err == nil:
		return n, err
	}
	return n, b.failure(&Passing{Err: err})
}

// failure is err, or why the request has ended.
func (b *body) failure(err error) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	return err
}

func (b *body) Close() error {
	err := b.answer.Close()
	b.stop()
	return err
}

func (b *body) stop() {
	b.silence.Stop()
	b.cancel(context.Canceled)
}
