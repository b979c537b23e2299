package httpadapter

import (
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
func (c *call) checkSize() error {
	if len(c.r.URL.RawQuery) > maxQuery {
		return queryTooBig
	}
	var err error
	if c.query, err = parseOnce(c.r.URL.RawQuery, badQuery); err != nil {
		return err
	}
	if c.route.body == 0 {
		return nil
	}
	if c.r.ContentLength > c.route.body {
		return bodyTooLong
	}
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return badMedia.with("Content-Encoding must be identity")
	}
	return nil
}

// parseOnce parses a query or a form in which no name comes twice.
func parseOnce(text string, bad *refusal) (url.Values, error) {
	if text == "" {
		return nil, nil
	}
	fields, err := url.ParseQuery(text)
	if err != nil {
		return nil, bad.with("malformed")
	}
	for name, values := range fields {
		if len(values) > 1 {
			return nil, bad.with(fmt.Sprintf("%.64q is repeated", name))
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, bad.with("not UTF-8")
		}
	}
	return fields, nil
}

// checkOrigin refuses what another site makes a browser send, if it changes
// anything. The documents have GETs that change something, so the method does
// not matter.
func (c *call) checkOrigin() error {
	if !c.route.Changes {
		return nil
	}
	asPost := &http.Request{Method: http.MethodPost, URL: c.r.URL, Host: c.r.Host, Header: c.r.Header}
	if c.adapter.origins.Check(asPost) != nil {
		return foreign
	}
	return nil
}

// checkPath checks the ids in the path.
func (c *call) checkPath() error {
	for _, name := range c.route.ids {
		if err := checkID(c.r.PathValue(name)); err != nil {
			return err
		}
	}
	return nil
}

// pathNames returns the names of a pattern's wildcards.
func pathNames(pattern string) []string {
	var names []string
	for {
		_, rest, ok := strings.Cut(pattern, "{")
		if !ok {
			return names
		}
		name, after, _ := strings.Cut(rest, "}")
		names, pattern = append(names, name), after
	}
}

// checkID refuses what is no id: 1 to 256 bytes of UTF-8 without control
// characters. An id is never used as the name of a file.
func checkID(id string) error {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return badID
	}
	return nil
}

// flag returns a query parameter that is true or false; absent is false.
func (c *call) flag(name string) (bool, error) {
	switch c.query.Get(name) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, badQuery.with(name + " must be true or false")
}

// number returns a query parameter that is a whole number of at least low; absent is byDefault.
func (c *call) number(name string, low, byDefault int64) (int64, error) {
	return numberIn(c.query, name, low, byDefault)
}

func numberIn(query url.Values, name string, low, byDefault int64) (int64, error) {
	text := query.Get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || text[0] == '+' || text[0] == '-' {
		return 0, badQuery.with(fmt.Sprintf("%s must be a whole number of at least %d", name, low))
	}
	return n, nil
}
