package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/cdc"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// Files of less than smallFile bytes are one chunk, others are cut where their
// content says so, and the keys.
const smallFile = 512 << 10

// newCutter returns what cuts files by these keys.
func newCutter(s Sealer) cdc.Cutter {
	return cdc.Cutter{Min: 256 << 10, Average: 1 << 20, Max: 4 << 20, Gear: cdc.NewGear(s.ChunkSeed())}
}

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
	s := &scan{work: w, u: u, there: make(map[string]bool)}
	if err := s.begin(ctx); err != nil {
		return tree.ID{}, err
	}
	root, err := s.folder(ctx, "", reference)
	if err != nil {
		return tree.ID{}, err
	}
	for key := range w.book.notes {
		if strings.HasPrefix(key, keyScan) && !s.there[key] {
			s.seen = append(s.seen, Entry{Key: key})
		}
	}
	return root, w.book.save(ctx, s.seen...)
}

type scan struct {
	*work
	u     *upload
	seen  []Entry
	there map[string]bool // the notes of folders that are there
}

// begin tells that the scan begins. How much there is to read is known in advance
// of a first scan only, which reads everything.
func (s *scan) begin(ctx context.Context) error {
	var all total
	if s.Tell != nil && s.first() {
		var err error
		if all, err = s.size(ctx, ""); err != nil {
			return err
		}
	}
	s.tell.begin(StepScan, all.files, all.bytes)
	return nil
}

// first reports whether nothing was scanned yet.
func (s *scan) first() bool {
	for key := range s.book.notes {
		if strings.HasPrefix(key, keyScan) {
			return false
		}
	}
	return true
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
	was, err := s.trees.Entries(ctx, reference)
	if err != nil {
		return tree.ID{}, err
	}
	key := keyScan + path
	s.there[key] = true
	known, fresh := make(seen), make(seen)
	if !s.request.Force {
		known = openSeen(s.book.notes[key])
	}
	var entries []tree.Entry
	here := make(map[string]bool)
	for f, err := range s.listed(ctx, path, was) {
		if err != nil {
			return tree.ID{}, &listError{path, err}
		}
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		here[name] = true
		e, err := s.entry(ctx, f, name, entryOf(was, name), known, fresh)
		if err != nil {
			return tree.ID{}, err
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
				return tree.ID{}, err
			}
			entries = tree.Replace(entries, was[i].Name, e)
		}
	}
	if text := fresh.encode(); string(text) != string(s.book.notes[key]) {
		s.seen = append(s.seen, Entry{key, text})
	}
	return s.trees.Make(ctx, entries)
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
		return s.u.add(ctx, id, chunk)
	})
	if err != nil {
		return nil, err
	}
	s.tell.done(f.Path, 1, size)
	now, err := s.Files.Stat(ctx, f.Path)
	if err == nil && (size != f.Size || !look(f, nil).equals(now)) {
		err = fmt.Errorf("%w: it changed while it was read", ErrStale)
	}
	return ids, err
}

// chunks reads a file, and calls use with each chunk, which is valid until it
// returns.
func (w *work) chunks(ctx context.Context, path string, use func(id tree.ID, chunk []byte) error) error {
	r, err := w.Files.Open(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close() // nothing was written
	return w.cut(ctx, r, use)
}

// cut cuts a content, and calls use with each chunk, which is valid until it
// returns.
func (w *work) cut(ctx context.Context, r io.Reader, use func(id tree.ID, chunk []byte) error) error {
	small, err := w.readSmall(r)
	switch {
	case errors.Is(err, io.EOF) && len(small) == 0:
		return nil
	case errors.Is(err, io.EOF):
		return use(w.Sealer.ID(small), small)
	case err != nil:
		return err
	}
	var failed error
	err = w.cutter.Each(ctx, io.MultiReader(bytes.NewReader(small), r), func(chunk []byte, _ int64) bool {
		failed = use(w.Sealer.ID(chunk), chunk)
		return failed == nil
	})
	return errors.Join(err, failed)
}

// readSmall reads what a content begins with, into a buffer that is as large as the
// files were that this work has read. Of less than smallFile bytes the error is
// io.EOF.
func (w *work) readSmall(r io.Reader) ([]byte, error) {
	const first = 32 << 10
	if w.buffer == nil {
		w.buffer = make([]byte, first)
	}
	for n := 0; ; {
		k, err := io.ReadFull(r, w.buffer[n:])
		n += k
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return w.buffer[:n], io.EOF
		case err != nil || n == smallFile:
			return w.buffer[:n], err
		}
		w.buffer = append(make([]byte, 0, 2*n), w.buffer...)[:2*n]
	}
}
