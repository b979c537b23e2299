package rollout

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"

	"github.com/upkeep-go/upkeep/internal/text"
)

const (
	maxReason = 4 << 10 // bytes of what people and errors say
	maxName   = 256     // bytes of what names something
)

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string { return text.Cut(s, n) }

// fits refuses a text of more than so many bytes.
func fits(field, value string, most int) error {
	if len(value) > most {
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrInvalid, field, len(value), most)
	}
	return nil
}

// said is what happened, and why if somebody said so.
func said(what, why string) string {
	if why == "" {
		return what
	}
	return what + " " + why
}

// many is a number of things, in words: "1 replica", "2 replicas".
func many[N int | int64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// are is the verb for a number of things.
func are[N int | int64](n N) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// isToken reports whether a header or a cookie may have this name.
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// bounded keeps what people write within limits.
func (b By) bounded() By {
	return By{Actor: cut(b.Actor, maxName), Reason: cut(b.Reason, maxReason), RequestID: cut(b.RequestID, maxName)}
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID names a run as the document does.
func newID() string {
	id := make([]byte, 14)
	for i := range id {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet)))) // crypto/rand never fails
		id[i] = alphabet[n.Int64()]
	}
	return string(id)
}
