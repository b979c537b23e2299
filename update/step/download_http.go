package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

const maxRedirects = 10

var errStalled = errors.New("step: the server is silent")

// attempt asks for what is missing and receives it. It reports whether the
// file is complete; a passing error says that another attempt may do better.
func (d *download) attempt(ctx context.Context) (complete bool, err error) {
	address, err := artifactURL(d.task.Release.URL)
	if err != nil {
		return false, err
	}
	if address.Scheme == "file" {
		return d.copyFile(ctx, address)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(d.Stall, func() { cancel(fmt.Errorf("%w for %s", errStalled, d.Stall)) })
	defer silence.Stop()
	complete, err = d.ask(ctx, address, func() { silence.Reset(d.Stall) })
	if err != nil && ctx.Err() != nil {
		return false, &passing{err: context.Cause(ctx)}
	}
	return complete, err
}

// copyFile is an attempt whose server is a file.
func (d *download) copyFile(ctx context.Context, address *url.URL) (bool, error) {
	path := address.Path
	if runtime.GOOS == "windows" { // file:///C:/path
		path = strings.TrimPrefix(path, "/")
	}
	f, err := os.Open(filepath.FromSlash(path))
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := d.begin(ctx, ""); err != nil {
		return false, err
	}
	return true, d.receive(steady(ctx, f, func(int64) {}), func() {})
}

func (d *download) ask(ctx context.Context, address *url.URL, alive func()) (complete bool, err error) {
	resp, err := d.send(ctx, address)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	alive()
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false, fmt.Errorf("step: the server compresses by %q though it was asked not to", encoding)
	}
	body := io.Reader(resp.Body)
	switch resp.StatusCode {
	case http.StatusOK:
		err = d.acceptWhole(ctx, resp)
	case http.StatusPartialContent:
		body, err = d.acceptPart(resp)
	case http.StatusRequestedRangeNotSatisfiable:
		err = d.mistrust("the server has no such range")
	default:
		err = refusal(resp)
	}
	if err != nil {
		return false, err
	}
	if err := d.receive(body, alive); err != nil {
		return false, err
	}
	if d.total > 0 && d.sums.size < d.total {
		return false, &passing{err: fmt.Errorf("step: the answer ended after %d of %d bytes", d.sums.size, d.total)}
	}
	return true, nil
}

// acceptWhole begins anew with an answer that has all of the artifact.
func (d *download) acceptWhole(ctx context.Context, resp *http.Response) error {
	size := d.task.Release.Size
	switch length := resp.ContentLength; {
	case length < 0:
		d.total = size
	case size > 0 && length != size:
		return fmt.Errorf("step: the server has %d bytes, not %d", length, size)
	case length > d.limit():
		return fmt.Errorf("step: the server has %d bytes, at most %d are allowed", length, d.limit())
	default:
		d.total = length
	}
	return d.begin(ctx, strongETag(resp.Header))
}

// acceptPart returns the body of an answer that goes on where the file ends.
func (d *download) acceptPart(resp *http.Response) (io.Reader, error) {
	var first, last, total int64
	header := resp.Header.Get("Content-Range")
	n, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &total)
	length := last - first + 1
	switch etag := strongETag(resp.Header); {
	case d.sums.size == 0 || d.rangeless:
		return nil, errors.New("step: the server answered with a part though it was asked for the whole")
	case err != nil || n != 3 || header != fmt.Sprintf("bytes %d-%d/%d", first, last, total):
		return nil, d.mistrust(fmt.Sprintf("the server answered with the range %q", header))
	case first != d.sums.size || last < first || last >= total || total > d.limit() || d.total > 0 && total != d.total:
		return nil, d.mistrust(fmt.Sprintf("the server answered with the range %q when asked for what follows byte %d", header, d.sums.size))
	case resp.ContentLength >= 0 && resp.ContentLength != length:
		return nil, d.mistrust(fmt.Sprintf("the server answered with the range %q and %d bytes", header, resp.ContentLength))
	case etag != "" && etag != d.kept.ETag:
		return nil, d.mistrust("the server answered with a part of something else")
	}
	d.total, d.spliced = total, true
	return io.LimitReader(resp.Body, length), nil
}

// mistrust drops what there is, so that the next attempt begins anew, without
// a range.
func (d *download) mistrust(what string) error {
	d.rangeless = true
	if err := d.drop(); err != nil {
		return err
	}
	return &passing{err: errors.New("step: " + what)}
}

// refusal is the error of an answer without content.
func refusal(resp *http.Response) error {
	err := fmt.Errorf("step: the server answered %s", resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		after, _ := fetch.RetryAfter(resp.Header)
		return &passing{err: err, after: after}
	}
	return err
}

// strongETag returns the ETag by which a part can be told from one of other
// content, or "". Last-Modified is none: it says nothing of two changes in a
// second.
func strongETag(h http.Header) string {
	etag := h.Get("ETag")
	if len(etag) < 2 || len(etag) > 256 || etag[0] != '"' || strings.IndexByte(etag[1:], '"') != len(etag)-2 {
		return ""
	}
	return etag
}

// send asks for the artifact, or for what is missing, and follows redirects.
func (d *download) send(ctx context.Context, address *url.URL) (*http.Response, error) {
	client := d.client()
	trusted := true // until a redirect has led elsewhere
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
		if err != nil {
			return nil, err
		}
		if trusted && d.Header != nil {
			req.Header = d.Header.Clone()
		}
		req.Header.Set("Accept-Encoding", "identity") // else the transport asks for gzip, and unpacks it
		if d.sums.size > 0 && d.kept.ETag != "" && !d.rangeless {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.sums.size))
			req.Header.Set("If-Range", d.kept.ETag)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, &passing{err: fmt.Errorf("asking %q: %w", address.Host, fetch.Cause(err))}
		}
		next, err := redirect(resp, address)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return resp, nil
		}
		trusted = trusted && next.Scheme == address.Scheme && strings.EqualFold(next.Host, address.Host)
		address = next
	}
	return nil, fmt.Errorf("step: the server redirected more than %d times", maxRedirects)
}

// redirect returns where an answer leads, whose body it has closed, or nil.
func redirect(resp *http.Response, from *url.URL) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	resp.Body.Close()
	to, err := from.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return nil, errors.New("step: the server redirected to nowhere")
	case to.Scheme != "https" && (to.Scheme != "http" || from.Scheme == "https") || to.Host == "":
		return nil, fmt.Errorf("step: the server redirected from %s to %q", from.Scheme, fetch.Redacted(to))
	}
	return to, nil
}

func (d *download) client() *http.Client {
	var c http.Client
	if d.Client != nil {
		c = *d.Client
	}
	c.Timeout = 0
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
