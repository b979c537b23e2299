package web

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	// toldEvery is how often a refusal is told again that comes again and again.
	toldEvery = time.Minute
	// toldMost is how many different ones of a caller and a route are told in
	// that time.
	toldMost = 10
)

// hearing bounds what the log has of the callers who ask in vain: a document
// may tell them to ask again later, which they do.
type hearing struct {
	mu   sync.Mutex
	told recent[refusedTo, lines]
}

type refusedTo struct{ principal, pattern string }

// lines are what the log has been told since a time.
type lines struct {
	since time.Time
	texts [][sha256.Size]byte
	left  int // were not
}

// tell reports whether the log is to have a refusal, and how many before it were
// left out since the last that it has.
func (h *hearing) tell(to refusedTo, text string) (left int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, known := h.told.get(to)
	if now := time.Now(); !known || now.Sub(l.since) >= toldEvery {
		l = lines{since: now, left: l.left}
	}
	defer func() { h.told.put(to, l) }()
	sum := sha256.Sum256([]byte(text))
	if len(l.texts) >= toldMost || slices.Contains(l.texts, sum) {
		l.left++
		return 0, false
	}
	left, l.left = l.left, 0
	l.texts = append(l.texts, sum)
	return left, true
}
