package output

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// block is how much is read at once.
const block = 64 << 10

// backwards counts lines from the end of files.
type backwards struct {
	want   int
	lines  int  // whose begin was found
	before bool // there is something after what is read
}

// file goes through the file before those that were there. It returns where in it
// the first of the wanted lines begins, or false.
func (b *backwards) file(f io.ReaderAt, size int64) (begin int64, done bool) {
	var buffer [block]byte
	for end := size; end > 0; {
		part := buffer[:min(end, block)]
		end -= int64(len(part))
		n, _ := f.ReadAt(part, end) // less, if it was truncated
		for i := n - 1; i >= 0; i-- {
			if part[i] == '\n' && b.before {
				if b.lines++; b.lines == b.want {
					return end + int64(i) + 1, true
				}
			}
			b.before = true
		}
	}
	return 0, false
}

// all returns how many lines there are when nothing is before them.
func (b *backwards) all() int {
	if b.before {
		return b.lines + 1
	}
	return b.lines
}

// maxLine is the most bytes of a line that is read.
const maxLine = 64 << 10

// splitter makes lines of blocks, and cuts those that are too long.
type splitter struct {
	part    []byte // of a line
	skipped bool   // the rest of a line
}

// add calls f for each line that ends in p.
func (s *splitter) add(p []byte, f func(line []byte)) {
	for _, c := range p {
		switch {
		case c == '\n':
			if !s.skipped {
				f(s.part)
			}
			s.part, s.skipped = s.part[:0], false
		case s.skipped:
		default:
			if s.part = append(s.part, c); len(s.part) == maxLine {
				f(s.part)
				s.part, s.skipped = s.part[:0], true
			}
		}
	}
}

// rest calls f for a line without an end.
func (s *splitter) rest(f func(line []byte)) {
	if len(s.part) > 0 {
		f(s.part)
		s.part = s.part[:0]
	}
}

// tailSize is how much is quoted of the end.
const tailSize = 4 << 10

// quote makes of the end of a file what can be shown to anybody: at most 4 KiB of
// it, from the begin of a line if there is one.
func quote(b []byte) string {
	text := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			return -1
		}
		return c
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
	if len(text) <= tailSize {
		return text
	}
	cut := len(text) - tailSize
	if i := strings.IndexByte(text[cut-1:], '\n'); i >= 0 && cut+i < len(text) {
		return text[cut+i:]
	}
	for cut < len(text) && !utf8.RuneStart(text[cut]) {
		cut++
	}
	return text[cut:]
}
