package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// accepted is an answer without its body.
type accepted struct {
	Part
	length int64 // of the body, or -1 if it is not known
}

// accept looks whether an answer has what was asked for.
func accept(resp *http.Response, first, n int64, ifRange string) (accepted, error) {
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return accepted{}, fmt.Errorf("the server compresses by %q though it was asked not to", encoding)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return accepted{Part{Total: resp.ContentLength, ETag: strongETag(resp.Header)}, resp.ContentLength}, nil
	case code == http.StatusPartialContent && wanted(first, n) == "":
		return accepted{}, errors.New("the server answered with a part though it was asked for the whole")
	case code == http.StatusPartialContent:
		return acceptPart(resp, first, n, ifRange)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return accepted{}, &Passing{Err: ErrRange}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		after, _ := RetryAfter(resp.Header)
		return accepted{}, &Passing{Err: &Refusal{code, resp.Status}, After: after}
	default:
		return accepted{}, &Refusal{code, resp.Status}
	}
}

func acceptPart(resp *http.Response, wantFirst, n int64, ifRange string) (accepted, error) {
	var first, last, total int64
	header := resp.Header.Get("Content-Range")
	read, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &total)
	length := last - first + 1
	etag := strongETag(resp.Header)
	what := ""
	switch {
	case err != nil || read != 3 || header != fmt.Sprintf("bytes %d-%d/%d", first, last, total):
		what = fmt.Sprintf("the range %q", header)
	case first != wantFirst || last < first || last >= total || n >= 0 && length > n:
		what = fmt.Sprintf("the range %q when asked for %q", header, wanted(wantFirst, n))
	case resp.ContentLength >= 0 && resp.ContentLength != length:
		what = fmt.Sprintf("the range %q and %d bytes", header, resp.ContentLength)
	case etag != "" && ifRange != "" && etag != ifRange:
		what = "a part of something else"
	}
	if what != "" {
		return accepted{}, &Passing{Err: fmt.Errorf("%w: it answered with %s", ErrRange, what)}
	}
	return accepted{Part{First: first, Total: total, ETag: etag}, length}, nil
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
