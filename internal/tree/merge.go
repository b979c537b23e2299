package tree

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// Merger merges two trees that come from a third. An edit beats a deletion, two
// edits are both kept, and what only one side has changed is as that side has it.
type Merger struct {
	Trees
	// Combine makes one file of two that both come from base, or have no base:
	// nil. Theirs keeps the name, and the permissions are the Merger's. It
	// returns nil to keep both. Default: both are kept.
	Combine func(ctx context.Context, path string, base, ours, theirs *Entry) (*Entry, error)
	// Kept is told of each file that is kept beside another one. Default: nothing.
	Kept func(Conflict)
}

// Conflict is a file that had to give its name to another one, or to a folder.
type Conflict struct {
	Path, Copy string // the name, and the one that it has now
	Ours       bool   // the file is ours, else theirs
}

// Merge returns the tree of both. Base is what both come from, as far as is
// known: what it lacks was made by each of them, and nothing of it is deleted.
func (m Merger) Merge(ctx context.Context, base, ours, theirs ID) (ID, error) {
	return m.folder(ctx, "", base, ours, theirs)
}

func (m Merger) folder(ctx context.Context, path string, base, ours, theirs ID) (ID, error) {
	switch {
	case ours == theirs, base == ours:
		return theirs, nil
	case base == theirs:
		return ours, nil
	}
	var sides [3][]Entry
	for i, id := range []ID{base, ours, theirs} {
		entries, err := m.Entries(ctx, id)
		if err != nil {
			return ID{}, err
		}
		sides[i] = entries
	}
	var merged []Entry
	var aside []loser
	for _, n := range together(sides[:]...) {
		at, losers, err := m.entry(ctx, Join(path, n.name), n.all[0], n.all[1], n.all[2])
		if err != nil {
			return ID{}, err
		}
		if at != nil {
			merged = append(merged, *at)
		}
		aside = append(aside, losers...)
	}
	for _, l := range aside {
		merged = m.keep(path, merged, l)
	}
	return m.Make(ctx, merged)
}

// loser is a file that does not keep its name.
type loser struct {
	Entry
	ours bool
}

// keep gives a file another name in its folder, unless it has it already.
func (m Merger) keep(path string, merged []Entry, l loser) []Entry {
	name := l.Name
	for try := uint64(0); ; try++ {
		l.Name = CopyName(name, l.Entry, try)
		i, taken := Search(merged, l.Name)
		if taken && !sameContent(&merged[i], &l.Entry) {
			continue
		}
		if !taken {
			merged = slices.Insert(merged, i, l.Entry)
		}
		if m.Kept != nil {
			m.Kept(Conflict{Path: Join(path, name), Copy: Join(path, l.Name), Ours: l.ours})
		}
		return merged
	}
}

// entry merges what the sides have by one name. A folder keeps it.
func (m Merger) entry(ctx context.Context, path string, base, ours, theirs *Entry) (*Entry, []loser, error) {
	switch {
	case Same(ours, theirs), Same(base, ours):
		return theirs, nil, nil
	case Same(base, theirs):
		return ours, nil, nil
	}
	folder, err := m.folders(ctx, path, onlyFolder(base), onlyFolder(ours), onlyFolder(theirs))
	if err != nil {
		return nil, nil, err
	}
	file, losers, err := m.files(ctx, path, noFolder(base), noFolder(ours), noFolder(theirs))
	if folder == nil || err != nil {
		return file, losers, err
	}
	if file != nil {
		losers = append(losers, loser{*file, file == ours})
	}
	return folder, losers, nil
}

func onlyFolder(e *Entry) *Entry {
	if isFolder(e) {
		return e
	}
	return nil
}

func noFolder(e *Entry) *Entry {
	if isFolder(e) {
		return nil
	}
	return e
}

// folders merges folders. One that a side has deleted stays for what the other
// has put into it.
func (m Merger) folders(ctx context.Context, path string, base, ours, theirs *Entry) (*Entry, error) {
	if ours == nil && theirs == nil {
		return nil, nil
	}
	id, err := m.folder(ctx, path, folderOf(base), folderOf(ours), folderOf(theirs))
	if err != nil {
		return nil, err
	}
	deleted := base != nil && (ours == nil || theirs == nil)
	if deleted && id == (ID{}) {
		return nil, nil
	}
	merged := *either(theirs, ours)
	merged.Folder, merged.Mode = id, mode(base, ours, theirs)
	return &merged, nil
}

// files merges what is no folder: what keeps the name, and what is kept beside it.
func (m Merger) files(ctx context.Context, path string, base, ours, theirs *Entry) (*Entry, []loser, error) {
	switch {
	case Same(ours, theirs), Same(base, ours), ours == nil:
		return theirs, nil, nil
	case Same(base, theirs), theirs == nil:
		return ours, nil, nil
	}
	var merged *Entry
	switch {
	case sameContent(ours, theirs), base != nil && sameContent(base, ours):
		merged = theirs
	case base != nil && sameContent(base, theirs):
		merged = ours
	case base == nil && isEmpty(ours): // a stub that a program makes when it starts
		merged = theirs
	case base == nil && isEmpty(theirs):
		merged = ours
	case m.Combine != nil && ours.Kind == File && theirs.Kind == File:
		var err error
		if merged, err = m.Combine(ctx, path, base, ours, theirs); err != nil {
			return nil, nil, err
		}
	}
	if merged == nil {
		return theirs, []loser{{*ours, true}}, nil
	}
	at := *merged
	at.Name, at.Mode = theirs.Name, mode(base, ours, theirs)
	return &at, nil, nil
}

func isEmpty(e *Entry) bool { return e.Kind == File && e.Size == 0 }

// mode merges permissions. Theirs are those of two that were both changed.
func mode(base, ours, theirs *Entry) uint32 {
	switch {
	case theirs == nil, ours != nil && base != nil && theirs.Mode == base.Mode:
		return ours.Mode
	}
	return theirs.Mode
}

func either(a, b *Entry) *Entry {
	if a != nil {
		return a
	}
	return b
}

const (
	copyMark    = " (conflict "
	copyDigits  = 8
	copyLongest = 255 // bytes of a name that every system can hold
)

// CopyName is the name of a file that is kept beside the one that has its name.
// It depends on the two names and on what the file has, so that every device
// gives it the same. Names that others have are passed over by another try, from
// 0. A copy of a copy is one of the first file.
func CopyName(name string, e Entry, try uint64) string {
	stem, extension := original(name)
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64([]byte{byte(e.Kind)}, try))
	h.Write([]byte(e.Link))
	for _, id := range e.Chunks {
		h.Write(id[:])
	}
	mark := copyMark + hex.EncodeToString(h.Sum(nil)[:copyDigits/2]) + ")"
	if extra := len(stem) + len(mark) + len(extension) - copyLongest; extra > 0 {
		stem = cut(stem, len(stem)-extra)
	}
	return stem + mark + extension
}

// CopyOf returns the name of the file that a name is a copy of, if it is one.
func CopyOf(name string) (original string, ok bool) {
	stem, extension, ok := unmarked(name)
	return stem + extension, ok
}

// original takes the mark of a copy out of a name, and cuts that in two.
func original(name string) (stem, extension string) {
	if stem, extension, ok := unmarked(name); ok {
		return stem, extension
	}
	return split(name)
}

func unmarked(name string) (stem, extension string, ok bool) {
	stem, extension = split(name)
	i := strings.LastIndex(stem, copyMark)
	if i <= 0 || len(stem) != i+len(copyMark)+copyDigits+len(")") || stem[len(stem)-1] != ')' {
		return "", "", false
	}
	if _, err := hex.DecodeString(stem[i+len(copyMark) : len(stem)-1]); err != nil {
		return "", "", false
	}
	return stem[:i], extension, true
}

// split cuts a name before its extension, if it has a short one.
func split(name string) (stem, extension string) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name)-i > 32 {
		return name, ""
	}
	return name[:i], name[i:]
}

// cut shortens a text to n bytes, or as many fewer as keep its last character
// whole.
func cut(text string, n int) string {
	for n > 0 && n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:max(n, 0)]
}
