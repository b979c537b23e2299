// Package tree keeps folders of files as immutable objects that are named by
// what they have, compares them, and merges two that come from a third. It knows
// no disk and no network, and no clock decides anything.
//
// Read tree.go, then node.go, diff.go, merge.go and with.go.
package tree

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// ID names an object by its content. The zero ID is that of an empty folder, of
// which there is no object.
type ID [32]byte

// Objects keep folders, and hand them out again.
type Objects interface {
	// Get returns what Put was given: the caller changes neither.
	Get(ctx context.Context, id ID) ([]byte, error)
	Put(ctx context.Context, object []byte) (ID, error)
}

// Kind says what an Entry is.
type Kind byte

// The kinds of entries.
const (
	File   Kind = 'f'
	Folder Kind = 'd'
	Link   Kind = 'l' // a symbolic one
)

// Entry is what a folder has by one name.
type Entry struct {
	Name   string
	Kind   Kind
	Mode   uint32 // permissions, the lower nine bits
	Size   int64  // of a File, in bytes
	Time   int64  // when a File was changed, in nanoseconds since 1970: of its Content, for people
	Link   string // target of a Link, as text
	Folder ID     // of a Folder
	Chunks []ID   // of a File, in order
}

// Same reports whether two entries have the same kind, permissions and content,
// be it by another name or from another time. Absent ones, nil, are the same.
func Same(a, b *Entry) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Mode == b.Mode && sameContent(a, b)
}

func sameContent(a, b *Entry) bool {
	return a.Kind == b.Kind && a.Size == b.Size && a.Link == b.Link && a.Folder == b.Folder && slices.Equal(a.Chunks, b.Chunks)
}

// ErrCorrupt reports an object that is no folder.
var ErrCorrupt = errors.New("tree: damaged folder")

// Trees are the folders of some Objects.
type Trees struct{ Objects Objects }

// Entries returns what a folder has, by name.
func (t Trees) Entries(ctx context.Context, id ID) ([]Entry, error) {
	if id == (ID{}) {
		return nil, nil
	}
	n, err := t.node(ctx, id)
	if err != nil || len(n.pages) == 0 {
		return n.entries, err
	}
	var all []Entry
	for _, p := range n.pages {
		inner, err := t.node(ctx, p.id)
		switch {
		case err != nil:
			return nil, err
		case len(inner.pages) > 0, len(inner.entries) == 0, inner.entries[0].Name != p.first,
			len(all) > 0 && all[len(all)-1].Name >= p.first:
			return nil, ErrCorrupt
		}
		all = append(all, inner.entries...)
	}
	return all, nil
}

// Make keeps a folder of these entries, which are sorted by name, each with a
// name of its own that ValidName allows. Folders that have the same entries have
// the same ID.
func (t Trees) Make(ctx context.Context, entries []Entry) (ID, error) {
	if len(entries) == 0 {
		return ID{}, nil
	}
	var pages []page
	for first := 0; first < len(entries); {
		n := pageLength(entries[first:])
		id, err := t.Objects.Put(ctx, encode(node{entries: entries[first : first+n]}))
		if err != nil {
			return ID{}, err
		}
		pages = append(pages, page{entries[first].Name, id})
		first += n
	}
	if len(pages) == 1 {
		return pages[0].id, nil
	}
	return t.Objects.Put(ctx, encode(node{pages: pages}))
}

// Find returns the entry at a path, with slashes, or nil. That of "" is the
// folder itself.
func (t Trees) Find(ctx context.Context, root ID, path string) (*Entry, error) {
	at := &Entry{Kind: Folder, Folder: root}
	if path == "" {
		return at, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if at.Kind != Folder {
			return nil, nil
		}
		entries, err := t.Entries(ctx, at.Folder)
		if err != nil {
			return nil, err
		}
		i, found := Search(entries, name)
		if !found {
			return nil, nil
		}
		at = &entries[i]
	}
	return at, nil
}

// Search returns the place of a name in the entries of a folder, and whether it is
// there.
func Search(entries []Entry, name string) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
}

// String is the ID in hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText makes String the form of an ID in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the reverse of MarshalText. What is no ID is an ErrCorrupt.
func (id *ID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(id) {
		return ErrCorrupt
	}
	copy(id[:], b)
	return nil
}
