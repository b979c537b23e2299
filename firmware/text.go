package firmware

import (
	"fmt"
	"strings"
)

const (
	maxReason = 4 << 10 // bytes of what people and errors say
	maxName   = 256     // bytes of what names something
)

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const mark = "…"
	return strings.ToValidUTF8(s[:n-len(mark)], "") + mark
}

// fits refuses a text of more than so many bytes.
func fits(field, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrInvalid, field, len(text), most)
	}
	return nil
}

// bounded keeps what people write within limits.
func (b By) bounded() By {
	return By{Actor: cut(b.Actor, maxName), Reason: cut(b.Reason, maxReason), RequestID: cut(b.RequestID, maxName)}
}
