// Package probe asks an HTTP address whether what answers there is well.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

// Request is a GET, and what its answer should be. The zero values of all but
// URL are sensible.
type Request struct {
	URL     *url.URL
	Host    string            // said to be asked for; default: that of URL
	Headers map[string]string // sent along
	Close   bool              // no connection is kept

	Status   int   // default: any below 500
	MaxBody  int64 // bytes of the answer that are read; default: none
	Contains string
	// SameScheme is set if a redirect to another scheme is not followed.
	SameScheme bool
}

// Answer is one that is not wanted.
type Answer struct {
	Status   string   // such as "404 Not Found"
	Location *url.URL // that a redirect leads to, or nil
	Body     string   // its begin, in one line
	Lacks    string   // what it does not contain, if it is only that
}

// Error says what was answered, without a password or a query.
func (a *Answer) Error() string {
	switch {
	case a.Lacks != "":
		return fmt.Sprintf("the answer does not contain %q", a.Lacks)
	case a.Location != nil:
		return a.Status + " → " + fetch.Redacted(a.Location)
	case a.Body != "":
		return a.Status + ": " + a.Body
	}
	return a.Status
}

// maxQuote is how many bytes of an answer an error repeats.
const maxQuote = 256

// HTTP asks once, by a copy of client, of which CheckRedirect is not used.
// Redirects are followed on the same host only, ten at most; one that leads
// elsewhere is itself the answer, and so is every redirect if Status is one. An
// answer of another status, or without the text, is an *Answer.
func HTTP(ctx context.Context, client http.Client, r Request) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL.String(), nil)
	if err != nil {
		return errors.New("the address cannot be parsed")
	}
	for name, value := range r.Headers {
		request.Header.Set(name, value)
	}
	request.Host, request.Close = r.Host, r.Close
	client.CheckRedirect = r.follow
	reply, err := client.Do(request)
	if err != nil {
		return fetch.Cause(err)
	}
	defer reply.Body.Close()
	if r.Status == 0 && reply.StatusCode >= 500 || r.Status != 0 && reply.StatusCode != r.Status {
		return answer(reply)
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, r.MaxBody))
	if err != nil {
		return err
	}
	if !bytes.Contains(body, []byte(r.Contains)) {
		return &Answer{Status: reply.Status, Lacks: r.Contains}
	}
	return nil
}

// follow is a CheckRedirect.
func (r Request) follow(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case r.Status/100 == 3, !strings.EqualFold(next.URL.Host, first.Host), r.SameScheme && next.URL.Scheme != first.Scheme:
		return http.ErrUseLastResponse
	case len(via) >= 10:
		return errors.New("redirected 10 times")
	}
	next.Close = r.Close
	return nil
}

func answer(reply *http.Response) *Answer {
	a := &Answer{Status: reply.Status}
	if to, err := reply.Location(); err == nil {
		a.Location = to
	}
	quote, _ := io.ReadAll(io.LimitReader(reply.Body, maxQuote)) // what has come of it
	a.Body = strings.Join(strings.Fields(strings.ToValidUTF8(string(quote), "")), " ")
	return a
}
