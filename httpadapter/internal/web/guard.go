package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxQuery = 8 << 10 // bytes of a query string
	maxID    = 256     // bytes of an id in a path or a query
)

// checkSize refuses what is too long before anything is read, and parses the
// query strictly: url.URL.Query would drop what it does not understand.
func (c *Call) checkSize() error {
	if len(c.Request.URL.RawQuery) > maxQuery {
		return QueryTooBig
	}
	var err error
	if c.Query, err = parseOnce(c.Request.URL.RawQuery, BadQuery); err != nil {
		return err
	}
	if c.Route.Body == 0 {
		return nil
	}
	if c.Request.ContentLength > c.Route.Body {
		return BodyTooLong
	}
	if encoding := c.Request.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return BadMedia.With("Content-Encoding must be identity")
	}
	return nil
}

// parseOnce parses a query or a form in which no name comes twice.
func parseOnce(text string, bad *Refusal) (url.Values, error) {
	if text == "" {
		return nil, nil
	}
	fields, err := url.ParseQuery(text)
	if err != nil {
		return nil, bad.With("malformed")
	}
	for name, values := range fields {
		if len(values) > 1 {
			return nil, bad.With(fmt.Sprintf("%.64q is repeated", name))
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, bad.With("not UTF-8")
		}
	}
	return fields, nil
}

// checkOrigin refuses what another site makes a browser send, if it changes
// anything. The documents have GETs that change something, so the method does
// not matter. A WebSocket is refused too: to that no browser applies the rules by
// which other replies are kept from other sites.
func (c *Call) checkOrigin() error {
	if (c.Route.Changes || c.Route.Socket) && c.isForeign() {
		return Foreign
	}
	return nil
}

// isForeign reports whether another site has made a browser send the request.
func (c *Call) isForeign() bool {
	asPost := &http.Request{Method: http.MethodPost, URL: c.Request.URL, Host: c.Request.Host, Header: c.Request.Header}
	return c.server.origins.Check(asPost) != nil
}

// authenticate finds out who asks, and whether they may.
func (c *Call) authenticate() error {
	if c.Route.Needs == 0 {
		return nil
	}
	credential, err := c.Route.Speaks.Credential(c)
	if err != nil && !errors.Is(err, ErrBadCredential) {
		return err
	}
	return c.server.logins.try(c.Context(), c.guesser(), credential, func() error {
		if err != nil {
			return badAt(credential.Place, err)
		}
		who, err := c.server.config.Identify(c.Context(), c.Route, credential)
		if err == nil && who.Level < c.Route.Needs {
			err = ErrForbidden
		}
		if err == nil {
			c.By = who
		}
		return badAt(credential.Place, err)
	})
}

// badAt tells of a bad credential where it stood.
func badAt(place string, err error) error {
	if place == "" || !errors.Is(err, ErrBadCredential) {
		return err
	}
	return &BadCredentialError{place}
}

// Unchanged sets the ETag of a reply, and answers a request that knows it, but
// for a POST.
func (c *Call) Unchanged(tag string) bool {
	c.Header().Set("ETag", tag)
	if c.Request.Method == http.MethodPost {
		return false
	}
	for known := range strings.SplitSeq(strings.Join(c.Request.Header.Values("If-None-Match"), ","), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == tag {
			c.Send(Answer{Status: http.StatusNotModified})
			return true
		}
	}
	return false
}

// Limit returns how many items a page has at most: the query's limit, at most
// most, by default 50.
func (c *Call) Limit(most int64) (int, error) {
	limit, err := c.Number("limit", 1, 50)
	return int(min(limit, most)), err
}

// maxReason bounds the bytes of why somebody does something.
const maxReason = 4 << 10

// Why is who changes something, and why. A domain's own type has these fields.
type Why struct {
	Actor     string
	Reason    string
	RequestID string
}

// Because is who asks, and why: name is what the reason is called in the body.
func (c *Call) Because(name, reason, requestID string) (Why, error) {
	if len(reason) > maxReason {
		return Why{}, BadBody.With(fmt.Sprintf("%s: at most %d bytes", name, maxReason))
	}
	if requestID != "" && CheckID(requestID) != nil {
		return Why{}, BadBody.With("request_id is no id")
	}
	return Why{c.By.ID, reason, requestID}, nil
}

// guesser returns whose failed logins are counted together: those of an address.
// What other sites make its browsers send is counted apart, so that they use up
// no tries but these.
func (c *Call) guesser() string {
	if c.isForeign() {
		return remoteAddress(c.Request) + " cross-site"
	}
	return remoteAddress(c.Request)
}

// CheckID refuses what is no id: 1 to 256 bytes of UTF-8 without control
// characters, and neither "." nor "..", which clients and routers take out of a
// path. An id is never used as the name of a file.
func CheckID(id string) error {
	if id == "" || id == "." || id == ".." || len(id) > maxID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return BadID
	}
	return nil
}

// Flag returns a query parameter that is true or false; absent is false.
func (c *Call) Flag(name string) (bool, error) {
	switch c.Query.Get(name) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, BadQuery.With(name + " must be true or false")
}

// Number returns a query parameter that is a whole number of at least low; absent is byDefault.
func (c *Call) Number(name string, low, byDefault int64) (int64, error) {
	return Number(c.Query, name, low, byDefault)
}

// Number is Call.Number of another query.
func Number(query url.Values, name string, low, byDefault int64) (int64, error) {
	text := query.Get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || text[0] == '+' || text[0] == '-' {
		return 0, BadQuery.With(fmt.Sprintf("%s must be a whole number of at least %d", name, low))
	}
	return n, nil
}
