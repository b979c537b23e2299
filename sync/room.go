package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// fitting returns what reports whether a change has room here, beside those before.
// A file that has none is left alone before anything of it is read: it stays as it is
// until there is, and all others come.
func (w *work) fitting() func(c tree.Change) bool {
	room := w.caps.Free
	if room <= 0 { // it is not known
		room = math.MaxInt64
	}
	return func(c tree.Change) bool {
		if c.New == nil || c.New.Kind != tree.File {
			return true
		}
		if c.New.Size > room {
			w.leave(c.Path, fmt.Sprintf("it has %d bytes, for which there is no space", c.New.Size))
			return false
		}
		room -= c.New.Size
		return true
	}
}

// bring stages what is new at a path, and closes its content. What turns out to have
// no room is left alone, too.
func (w *work) bring(ctx context.Context, path string, f File, content io.ReadCloser) error {
	if content == nil {
		return w.Files.Stage(ctx, f, nil)
	}
	defer content.Close() // nothing was written
	read := &lasting{Reader: content}
	err := w.Files.Stage(ctx, f, read)
	if errors.Is(err, ErrFull) && read.err == nil {
		w.leave(path, err.Error())
		return nil
	}
	return err
}

// lasting is a content that keeps the error that ended it, which says nothing about
// where it is written.
type lasting struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (l *lasting) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}

// unstagedError is why what is to be placed is not all there. Nothing has changed
// in the folder by then.
type unstagedError struct{ err error }

func (e *unstagedError) Error() string { return e.err.Error() }

func (e *unstagedError) Unwrap() error { return e.err }

// unstaged reports whether that is what has happened, and notes that all changes of
// the folder are left for later: what it has sent counts, and it may go on sending,
// however long it cannot have what others have sent.
func (w *work) unstaged(ctx context.Context, all *changes, err error) bool {
	if _, is := errors.AsType[*unstagedError](err); !is || ctx.Err() != nil {
		return false
	}
	for c, err := range all.each(ctx) {
		if err != nil {
			return false
		}
		w.leave(c.Path, "it could not be had yet")
	}
	return true
}
