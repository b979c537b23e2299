package sync

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Remotes are named remotes: the cloud directories of the document. A name is 1
// to 63 bytes of UTF-8 of any script, for which CheckRemoteName has no error; names
// that fold to one are refused. Implementations are safe for concurrent use.
// Package syncertest checks them.
type Remotes interface {
	// Open returns a remote, which the caller closes, or ErrNotFound. One that is
	// removed while it is open is ErrNotFound from then on.
	Open(ctx context.Context, name string) (Remote, error)
	// List yields the names in byte order.
	List(ctx context.Context) iter.Seq2[string, error]
	// Create makes one, or returns ErrExists if there is one whose name folds to
	// the same, and ErrInvalid for what is no name.
	Create(ctx context.Context, name string) error
	// Remove deletes one with everything in it. One that is gone is not an error.
	Remove(ctx context.Context, name string) error
}

// maxRemoteName is how many bytes the name of a remote has at most.
const maxRemoteName = 63

// CheckRemoteName is ErrInvalid for what is no name of a remote: that is 1 to 63
// bytes of valid UTF-8 without a slash and without a control character.
func CheckRemoteName(name string) error {
	var why string
	switch {
	case name == "":
		why = "it is empty"
	case len(name) > maxRemoteName:
		why = fmt.Sprintf("%d bytes, more than %d", len(name), maxRemoteName)
	case !utf8.ValidString(name):
		why = "not valid UTF-8"
	case strings.Contains(name, "/"):
		why = "a slash"
	case strings.ContainsFunc(name, unicode.IsControl):
		why = "a control character"
	default:
		return nil
	}
	return fmt.Errorf("%w: name of a remote: %.80q: %s", ErrInvalid, name, why)
}

// FoldRemoteName returns what is the same for names of remotes that differ in case
// only, by the simple folding of Unicode.
func FoldRemoteName(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}
