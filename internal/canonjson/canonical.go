// Package canonjson has the one form of a JSON value, by which contents are
// compared.
package canonjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Canonical returns the form in which contents are compared: names sorted by
// their bytes, no white space, strings with as few escapes as JSON allows,
// numbers as they were written (1.0 is not 1, and 9007199254740993 stays
// exact). The error says what is wrong with what is not one JSON value, not
// UTF-8, nested more than 1,000 deep, or has a name twice or half a surrogate
// pair.
func Canonical(content []byte) ([]byte, error) {
	if !utf8.Valid(content) {
		return nil, errors.New("content is not UTF-8")
	}
	if !Valid(content) {
		return nil, fmt.Errorf("content is not JSON: %s", syntax(content))
	}
	c := canonicalizer{in: content, out: make([]byte, 0, len(content))}
	if err := c.value(); err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	return c.out, nil
}

// syntax says what is wrong with content.
func syntax(content []byte) string {
	var any json.RawMessage
	if err := json.Unmarshal(content, &any); err != nil {
		return err.Error()
	}
	return "syntax"
}

// A canonicalizer rewrites one value that is known to be valid JSON.
type canonicalizer struct {
	in    []byte
	at    int
	out   []byte
	depth int
}

// maxDepth bounds what sorting can cost: every level may copy all below it.
const maxDepth = 1000

// next skips white space and returns the byte that follows, unread.
func (c *canonicalizer) next() byte {
	for {
		switch b := c.in[c.at]; b {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return b
		}
	}
}

func (c *canonicalizer) value() error {
	if c.depth++; c.depth > maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	defer func() { c.depth-- }()
	switch c.next() {
	case '{':
		return c.object()
	case '[':
		return c.array()
	case '"':
		return c.text()
	}
	start := c.at
	for c.at < len(c.in) && bytes.IndexByte([]byte(",]} \t\r\n"), c.in[c.at]) < 0 {
		c.at++
	}
	c.out = append(c.out, c.in[start:c.at]...)
	return nil
}

func (c *canonicalizer) array() error {
	for more := true; more; {
		c.out = append(c.out, c.in[c.at]) // the bracket, or a comma
		c.at++
		if c.next() == ']' { // of an empty array: JSON has no trailing comma
			break
		}
		if err := c.value(); err != nil {
			return err
		}
		more = c.next() == ','
	}
	c.at++
	c.out = append(c.out, ']')
	return nil
}

// member is where a member of an object stands in the output.
type member struct{ start, name, end int } // "name" ends at name

func (c *canonicalizer) object() error {
	c.at++
	c.out = append(c.out, '{')
	var members []member
	for more := c.next() != '}'; more; {
		m := member{start: len(c.out)}
		c.next()
		if err := c.text(); err != nil {
			return err
		}
		m.name = len(c.out)
		c.next()
		c.at++ // the colon
		c.out = append(c.out, ':')
		if err := c.value(); err != nil {
			return err
		}
		m.end = len(c.out)
		c.out = append(c.out, ',')
		members = append(members, m)
		if more = c.next() == ','; more {
			c.at++
		}
	}
	c.at++ // the brace
	if len(members) == 0 {
		c.out = append(c.out, '}')
		return nil
	}
	return c.sort(members)
}

// sort orders the members of the object that ends the output.
func (c *canonicalizer) sort(members []member) error {
	name := func(m member) []byte { return c.out[m.start+1 : m.name-1] }
	start := members[0].start
	order := func(a, b member) int { return bytes.Compare(name(a), name(b)) }
	sorted := slices.IsSortedFunc(members, order)
	if !sorted {
		slices.SortFunc(members, order)
	}
	for i := 1; i < len(members); i++ {
		if bytes.Equal(name(members[i-1]), name(members[i])) {
			return fmt.Errorf("the name %q stands twice in one object", name(members[i]))
		}
	}
	if !sorted {
		written := slices.Clone(c.out[start:])
		c.out = c.out[:start]
		for _, m := range members {
			c.out = append(append(c.out, written[m.start-start:m.end-start]...), ',')
		}
	}
	c.out[len(c.out)-1] = '}'
	return nil
}

func (c *canonicalizer) text() error {
	start := c.at
	for c.at++; c.in[c.at] != '"' && c.in[c.at] != '\\'; c.at++ {
	}
	c.out = append(c.out, c.in[start:c.at]...)
	for c.in[c.at] != '"' {
		if b := c.in[c.at]; b != '\\' {
			c.out = append(c.out, b)
			c.at++
			continue
		}
		r, err := c.escape()
		if err != nil {
			return err
		}
		c.out = appendEscaped(c.out, r)
	}
	c.at++
	c.out = append(c.out, '"')
	return nil
}

// escape reads one character that is written with a backslash.
func (c *canonicalizer) escape() (rune, error) {
	b := c.in[c.at+1]
	c.at += 2
	if b != 'u' {
		if i := bytes.IndexByte([]byte("bfnrt"), b); i >= 0 {
			return rune("\b\f\n\r\t"[i]), nil
		}
		return rune(b), nil // a quote, a slash or a backslash
	}
	r := c.unit()
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if bytes.HasPrefix(c.in[c.at:], []byte(`\u`)) {
		c.at += 2
		if pair := utf16.DecodeRune(r, c.unit()); pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, fmt.Errorf("half a surrogate pair before byte %d", c.at)
}

func (c *canonicalizer) unit() rune {
	u, _ := strconv.ParseUint(string(c.in[c.at:c.at+4]), 16, 16) // four hex digits: the JSON is valid
	c.at += 4
	return rune(u)
}

func appendEscaped(out []byte, r rune) []byte {
	if r == '"' || r == '\\' {
		return append(out, '\\', byte(r))
	}
	if r >= ' ' {
		return utf8.AppendRune(out, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
