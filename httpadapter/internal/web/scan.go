package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects nest.
const maxDepth = 64

// Scan reports whether text is one JSON value that every parser reads alike:
// UTF-8 without a byte order mark, no name twice in an object, however it is
// escaped, no lone surrogates, nothing after the value, and not too deep.
// encoding/json takes all of that, and of two api_tokens the last.
func Scan(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	if bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) {
		return errors.New("begins with a byte order mark")
	}
	s := scanner{text: text}
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.at < len(text) {
		return s.unexpected()
	}
	return nil
}

// scanner walks over JSON text.
type scanner struct {
	text []byte
	at   int
}

// peek returns the next byte, or 0 at the end: no JSON text has a 0 in it.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for {
		switch s.peek() {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take consumes the byte c, if it is next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) unexpected() error {
	if s.at >= len(s.text) {
		return errors.New("unexpected end")
	}
	return fmt.Errorf("unexpected character at byte %d", s.at)
}

func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth == maxDepth {
			return fmt.Errorf("more than %d levels deep", maxDepth)
		}
		s.at++
		if c == '{' {
			return s.object(depth + 1)
		}
		return s.array(depth + 1)
	case c == '"':
		_, err := s.string()
		return err
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.text[s.at:], []byte(word)) {
			s.at += len(word)
			return nil
		}
	}
	return s.unexpected()
}

// object scans what follows the opening brace.
func (s *scanner) object(depth int) error {
	var names nameSet
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		s.space()
		quoted, err := s.string()
		if err != nil {
			return err
		}
		if name := Unquote(quoted); !names.add(name) {
			return fmt.Errorf("name %.64q is repeated", name)
		}
		s.space()
		if !s.take(':') {
			return s.unexpected()
		}
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected()
		}
	}
}

// array scans what follows the opening bracket.
func (s *scanner) array(depth int) error {
	s.space()
	if s.take(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected()
		}
	}
}

// string scans a string and returns it with its quotes.
func (s *scanner) string() ([]byte, error) {
	start := s.at
	if !s.take('"') {
		return nil, s.unexpected()
	}
	for {
		switch c := s.peek(); {
		case c == '"':
			s.at++
			return s.text[start:s.at], nil
		case c == '\\':
			s.at++
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ': // a control character, or the end
			return nil, s.unexpected()
		default:
			s.at++
		}
	}
}

// escape scans what follows a backslash: for a surrogate, its other half too.
func (s *scanner) escape() error {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
	default:
		return s.unexpected()
	}
	first, err := s.hex()
	if err != nil {
		return err
	}
	if first < 0xD800 || first > 0xDFFF {
		return nil
	}
	if first < 0xDC00 && s.take('\\') && s.peek() == 'u' {
		if second, err := s.hex(); err != nil {
			return err
		} else if second >= 0xDC00 && second <= 0xDFFF {
			return nil
		}
	}
	return fmt.Errorf("half a surrogate pair before byte %d", s.at)
}

// hex scans the u and the four digits of an escape.
func (s *scanner) hex() (rune, error) {
	s.at++
	var r rune
	for range 4 {
		switch c := s.peek(); {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, s.unexpected()
		}
		s.at++
	}
	return r, nil
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return s.unexpected()
	}
	if s.take('.') && !s.digits() {
		return s.unexpected()
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return s.unexpected()
		}
	}
	return nil
}

// digits consumes digits and reports whether there were any.
func (s *scanner) digits() bool {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at > start
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Unquote returns the text of a scanned string, which it may share.
func Unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		panic(fmt.Sprintf("httpadapter: %q was scanned and is no string: %v", quoted, err))
	}
	return []byte(text)
}

// nameSet is the names of one object: a few in a list, many in a map.
type nameSet struct {
	few  [8][]byte
	n    int
	many map[string]bool
}

// add reports whether the name is new.
func (s *nameSet) add(name []byte) bool {
	for _, known := range s.few[:s.n] {
		if bytes.Equal(known, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many[string(name)] {
		return false
	}
	if s.many == nil {
		s.many = map[string]bool{}
	}
	s.many[string(name)] = true
	return true
}

// members yields the names and values of an object that has been scanned.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		s := scanner{text: object}
		s.space()
		s.at++ // the brace
		for {
			s.space()
			if s.peek() != '"' {
				return
			}
			quoted, _ := s.string()
			s.space()
			s.at++ // the colon
			s.space()
			start := s.at
			_ = s.value(0)
			if !yield(Unquote(quoted), object[start:s.at]) {
				return
			}
			s.space()
			s.at++ // the comma or the closing brace
		}
	}
}

// elements yields the values of an array that has been scanned.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{text: array}
		s.space()
		s.at++ // the bracket
		for {
			s.space()
			if c := s.peek(); c == ']' || c == 0 {
				return
			}
			start := s.at
			_ = s.value(0)
			if !yield(array[start:s.at]) {
				return
			}
			s.space()
			s.at++ // the comma or the closing bracket
		}
	}
}
