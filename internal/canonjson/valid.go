package canonjson

import "bytes"

// Valid is json.Valid, some times faster.
func Valid(content []byte) bool {
	s := scanner{in: content}
	return s.value(0) && s.space() == len(content)
}

// A scanner looks whether there is JSON at a place of a text. Its methods go
// past what they look for, and return false if it is not there.
type scanner struct {
	in []byte
	at int
}

// maxNesting is that of encoding/json.
const maxNesting = 10_000

// space goes past white space and returns where that ends.
func (s *scanner) space() int {
	for s.at < len(s.in) && (s.in[s.at] == ' ' || s.in[s.at] == '\n' || s.in[s.at] == '\t' || s.in[s.at] == '\r') {
		s.at++
	}
	return s.at
}

// next goes past one byte.
func (s *scanner) next(b byte) bool {
	if s.at < len(s.in) && s.in[s.at] == b {
		s.at++
		return true
	}
	return false
}

func (s *scanner) value(depth int) bool {
	if s.space() == len(s.in) {
		return false
	}
	switch s.in[s.at] {
	case '{':
		return depth < maxNesting && s.list('}', depth, true)
	case '[':
		return depth < maxNesting && s.list(']', depth, false)
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(w string) bool {
	there := bytes.HasPrefix(s.in[s.at:], []byte(w))
	s.at += len(w)
	return there
}

// list is an object, whose values have names, or an array.
func (s *scanner) list(end byte, depth int, named bool) bool {
	s.at++
	s.space()
	if s.next(end) {
		return true
	}
	for {
		if named {
			if s.space(); !s.text() {
				return false
			}
			if s.space(); !s.next(':') {
				return false
			}
		}
		if !s.value(depth + 1) {
			return false
		}
		if s.space(); !s.next(',') {
			return s.next(end)
		}
	}
}

func (s *scanner) text() bool {
	if !s.next('"') {
		return false
	}
	for in := s.in; s.at < len(in); s.at++ {
		switch b := in[s.at]; {
		case b == '"':
			s.at++
			return true
		case b < ' ':
			return false
		case b == '\\':
			if s.at++; !s.escape() {
				return false
			}
		}
	}
	return false
}

// escape looks at what follows a backslash, and leaves its last byte.
func (s *scanner) escape() bool {
	if s.at == len(s.in) {
		return false
	}
	if s.in[s.at] != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), s.in[s.at]) >= 0
	}
	for range 4 {
		if s.at++; s.at == len(s.in) || !isHex(s.in[s.at]) {
			return false
		}
	}
	return true
}

func isHex(b byte) bool { return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f' }

func (s *scanner) number() bool {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return false
	}
	if s.next('.') && !s.digits() {
		return false
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		return s.digits()
	}
	return true
}

// digits are one at least.
func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.in) && '0' <= s.in[s.at] && s.in[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}
