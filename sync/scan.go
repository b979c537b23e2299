package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// scan returns the tree of the folder. What is masked is as in the reference:
// the base, or in a push what the remote has, which a push leaves alone too.
// Contents that the commit will need are sent on the way.
func (w *work) scan(ctx context.Context, u *upload) (tree.ID, error) {
	reference := w.base
	if w.request.Mode == ModeForcePush {
		reference = w.head.Root
	}
	w.masked = make(map[string]string)
	w.result.Problems, w.result.Copies = nil, 0
	s := &scan{work: w, u: u}
	if w.head.Lost {
		if err := u.live.read(ctx); err != nil {
			return tree.ID{}, err
		}
	}
	if err := s.begin(ctx); err != nil {
		return tree.ID{}, err
	}
	root, err := s.folder(ctx, "", reference)
	if err != nil {
		return tree.ID{}, err
	}
	return root, w.book.flush(ctx)
}

type scan struct {
	*work
	u *upload
}

// begin tells that the scan begins. How much there is to read is known in advance
// of a first scan only, which reads everything.
func (s *scan) begin(ctx context.Context) error {
	var all total
	if s.Tell != nil && s.book.notes[keySeen] == nil {
		var err error
		if all, err = s.size(ctx, ""); err != nil {
			return err
		}
	}
	s.tell.begin(StepScan, all.files, all.bytes)
	return nil
}

// size counts the files of a folder that are going to be read.
func (s *scan) size(ctx context.Context, path string) (all total, err error) {
	for f, err := range s.Files.List(ctx, path) {
		switch {
		case isNotFound(err), path != "" && errors.Is(err, fs.ErrPermission): // it has gone meanwhile, or is left alone
			return all, nil
		case err != nil:
			return all, fmt.Errorf("folder %q: %w", path, err)
		case s.mask(f.Path, f.Mode.IsDir()) != "":
		case f.Mode.IsDir():
			below, err := s.size(ctx, f.Path)
			if err != nil {
				return all, err
			}
			all.files += below.files
			all.bytes += below.bytes
		case f.Mode.IsRegular():
			all.files++
			all.bytes += f.Size
		}
	}
	return all, nil
}

// listError is an error of Files.List, which no other may be taken for: what it says
// is of the folder, and of no pack.
type listError struct {
	path string
	err  error
}

func (e *listError) Error() string { return fmt.Sprintf("folder %q: %v", e.path, e.err) }

func (e *listError) Unwrap() error { return e.err }

// folder returns the tree of one folder.
func (s *scan) folder(ctx context.Context, path string, reference tree.ID) (tree.ID, error) {
	note, err := s.seen(ctx, path)
	if err != nil {
		return tree.ID{}, err
	}
	files := make([]File, 0, 32) // as many as most folders have
	for f, err := range s.Files.List(ctx, path) {
		if err != nil {
			return tree.ID{}, &listError{path, err}
		}
		files = append(files, f)
	}
	if s.asSeen(note, reference, files) {
		return reference, nil
	}
	was, err := s.trees.Entries(ctx, reference)
	if err != nil {
		return tree.ID{}, err
	}
	known, fresh := make(seen), make(seen)
	if !s.request.Force {
		known = openSeen(note)
	}
	if files, err = s.renamed(ctx, path, was, files); err != nil {
		return tree.ID{}, err
	}
	entries, err := s.entries(ctx, path, was, files, known, fresh)
	if err != nil {
		return tree.ID{}, err
	}
	id, whole := reference, tree.ID{}
	if !slices.EqualFunc(entries, was, func(a, b tree.Entry) bool { return a.Name == b.Name && a.Time == b.Time && tree.Same(&a, &b) }) {
		if id, err = s.trees.Make(ctx, entries); err != nil {
			return tree.ID{}, err
		}
	}
	if len(fresh) == len(files) && len(fresh) == len(entries) {
		whole = id
	}
	if text := fresh.encode(whole); string(text) != string(note) {
		err = s.see(ctx, path, text)
	}
	return id, err
}

// entries are what a folder has, by what it had and the files that are here.
func (s *scan) entries(ctx context.Context, path string, was []tree.Entry, files []File, known, fresh seen) (entries []tree.Entry, err error) {
	here := make(map[string]bool)
	for _, f := range files {
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		here[name] = true
		e, err := s.entry(ctx, f, name, entryOf(was, name), known, fresh)
		if err != nil {
			return nil, err
		}
		if e != nil {
			entries = append(entries, *e)
			if isFile(e) && copied(f.Path) != "" {
				s.result.Copies++
			}
		}
	}
	beside := s.beside(was, here)
	for i := range was {
		if e := &was[i]; !here[e.Name] {
			if other := beside(e.Name); other != "" {
				s.keep(tree.Join(path, e.Name), e, givesWay(e.Name, tree.Join(path, other)))
			} else if e, err = s.absent(ctx, tree.Join(path, e.Name), e); err != nil {
				return nil, err
			}
			entries = tree.Replace(entries, was[i].Name, e)
		}
	}
	return entries, nil
}

// asSeen reports whether a folder has just the files of its reference, of which
// none was changed since they were seen.
func (s *scan) asSeen(note []byte, reference tree.ID, files []File) bool {
	if s.request.Force || s.head.Lost || !untouchedSince(note, reference, files) {
		return false
	}
	for _, f := range files {
		if s.mask(f.Path, false) != "" {
			return false
		}
	}
	for _, f := range files {
		if copied(f.Path) != "" {
			s.result.Copies++
		}
	}
	if n := len(files); n > 0 {
		s.tell.done(files[n-1].Path, int64(n), 0)
	}
	return true
}

// entry returns what a file is in the tree, or nil.
func (s *scan) entry(ctx context.Context, f File, name string, was *tree.Entry, known, fresh seen) (*tree.Entry, error) {
	isFolder := f.Mode.IsDir()
	if reason := s.mask(f.Path, isFolder); reason != "" {
		return s.keep(f.Path, was, reason), nil
	}
	e := tree.Entry{Name: name, Mode: uint32(f.Mode.Perm())}
	switch {
	case isFolder:
		var below tree.ID
		e.Kind, e.Mode = tree.Folder, 0o755
		switch {
		case was != nil && was.Kind == tree.Folder:
			below, e.Mode = was.Folder, was.Mode
		case s.caps.Modes && f.Mode.Perm()&0o077 == 0:
			e.Mode = 0o700 // it is nobody else's on other devices, too
		}
		id, err := s.folder(ctx, f.Path, below)
		list, ok := errors.AsType[*listError](err)
		if ok && list.path == f.Path && errors.Is(err, fs.ErrPermission) {
			return s.keep(f.Path, was, err.Error()), nil
		}
		if ok && list.path == f.Path && isNotFound(err) {
			return nil, nil // it has gone meanwhile
		}
		e.Folder = id
		return &e, err
	case f.Mode&fs.ModeSymlink != 0:
		e.Kind, e.Mode, e.Link = tree.Link, 0o777, f.Link
	case f.Mode.IsRegular():
		e.Kind, e.Size, e.Time = tree.File, f.Size, nanoseconds(f.ModTime)
		if !s.caps.Modes {
			if e.Mode = 0o644; was != nil && was.Kind == tree.File {
				e.Mode = was.Mode
			}
		}
		ids, err := s.content(ctx, f, name, known)
		switch {
		case s.u.err != nil: // of the remote: it says nothing about the file
			return nil, s.u.err
		case errors.Is(err, ErrNotFound):
			return nil, nil
		case errors.Is(err, ErrStale), errors.Is(err, fs.ErrPermission):
			return s.keep(f.Path, was, err.Error()), nil
		case err != nil:
			return nil, err
		}
		e.Chunks = ids
		if !f.Recent {
			fresh[name] = look(f, ids)
		}
	default:
		return s.keep(f.Path, was, "it is neither a file, nor a folder, nor a link"), nil
	}
	if tree.Same(was, &e) {
		return was, nil // its time makes no difference
	}
	return &e, nil
}

// absent returns what is kept of an entry that is not here: what is masked.
func (s *scan) absent(ctx context.Context, path string, was *tree.Entry) (*tree.Entry, error) {
	if reason := s.mask(path, was.Kind == tree.Folder); reason != "" {
		return s.keep(path, was, reason), nil
	}
	if was.Kind != tree.Folder {
		return nil, nil
	}
	if err := s.see(ctx, path, nil); err != nil {
		return nil, err
	}
	below, err := s.trees.Entries(ctx, was.Folder)
	if err != nil {
		return nil, err
	}
	var entries []tree.Entry
	for i := range below {
		e, err := s.absent(ctx, tree.Join(path, below[i].Name), &below[i])
		if err != nil {
			return nil, err
		}
		if e != nil {
			entries = append(entries, *e)
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	folder := *was
	folder.Folder, err = s.trees.Make(ctx, entries)
	return &folder, err
}

// nanoseconds since 1970, as far as a number of 64 bits knows them: to the years
// 1678 and 2262.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

const ignored = "ignored"

// mask says why a path is not looked at, or "".
func (w *work) mask(path string, folder bool) string {
	if w.rules.MatchEntry(w.caps.normal(path), folder) {
		return ignored
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name == Staging || !w.caps.CaseSensitive && strings.EqualFold(name, Staging) {
		return ignored // of a folder in this one that is synced by itself
	}
	if w.caps.MaxName > 0 && len(name) > w.caps.MaxName {
		return fmt.Sprintf("its name has more than %d bytes", w.caps.MaxName)
	}
	if w.caps.Refuses != nil {
		return w.caps.Refuses(name)
	}
	return ""
}

// keep notes that a path is masked, and returns what it is instead.
func (w *work) keep(path string, was *tree.Entry, reason string) *tree.Entry {
	w.masked[path] = reason
	w.problem(path, reason)
	return was
}

func (w *work) problem(path, reason string) {
	if reason != ignored {
		w.result.Problems = append(w.result.Problems, Problem{path, reason})
	}
}

// content returns the chunks of a file, and sends what is new, or lost, of them:
// what the newest head has no use for any more is sent with the merged tree, if at
// all. If the file changes while it is read, that is an ErrStale.
func (s *scan) content(ctx context.Context, f File, name string, known seen) ([]tree.ID, error) {
	if was, ok := known[name]; ok && was.same(f) {
		if !s.head.Lost || !s.u.lacks(was.chunks) {
			s.tell.done(f.Path, 1, 0)
			return was.chunks, nil
		}
	}
	var ids []tree.ID
	size := int64(0)
	err := s.chunks(ctx, f.Path, func(id tree.ID, chunk []byte) error {
		ids, size = append(ids, id), size+int64(len(chunk))
		s.tell.done(f.Path, 0, int64(len(chunk)))
		return s.u.add(ctx, id, chunk)
	})
	if err != nil {
		return nil, err
	}
	s.tell.done(f.Path, 1, 0)
	now, err := s.Files.Stat(ctx, f.Path)
	if err == nil && (size != f.Size || !look(f, nil).equals(now)) {
		err = fmt.Errorf("%w: it changed while it was read", ErrStale)
	}
	return ids, err
}
