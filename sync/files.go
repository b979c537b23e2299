package sync

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Staging is the folder of Files that is this package's own: staged files, what
// came out when they were placed, and the marker that says which folder this is
// and what it equals. It is never synced, nor is what has its name further below:
// that is of a folder in this one that is synced by itself.
const Staging = ".upkeep"

// Files is the local side: a tree of files. Paths are relative, with slashes.
// What leads out of the tree, by a link too, is refused.
type Files interface {
	// Caps returns what the tree can hold.
	Caps(ctx context.Context) (Caps, error)
	// List yields what one folder has, by name, "" for all of the tree but
	// Staging. ErrNotFound.
	List(ctx context.Context, folder string) iter.Seq2[File, error]
	// Stat returns one entry without following links. ErrNotFound.
	Stat(ctx context.Context, path string) (File, error)
	// Open reads a file. ErrNotFound.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
	// Stage writes a new file, folder or link into Staging, in the place of what
	// is there, durable after the next Flush. Path is a name below Staging.
	Stage(ctx context.Context, f File, content io.Reader) error
	// Place exchanges a staged entry with what is at path, so that nothing is
	// lost between a look and a write: what came out is staged by the same name
	// then, or nothing is, if there was nothing. A folder does not come out:
	// ErrExists. The folder above is there: else ErrNotFound. It returns the
	// entry as it is at path.
	Place(ctx context.Context, staged, path string) (File, error)
	// Remove moves an entry into Staging by this name, in the place of what is
	// there; one of Staging it deletes. A folder has to be empty: ErrNotEmpty.
	// One that is gone is ErrNotFound.
	Remove(ctx context.Context, path, staged string) error
	// Flush makes everything staged, placed and removed durable.
	Flush(ctx context.Context) error
}

// File describes an entry of Files.
type File struct {
	Path    string
	Mode    fs.FileMode // kind and permissions
	Size    int64
	Link    string    // target of a symbolic link, as text
	ModTime time.Time // a hint that it changed, never a decision
	Tag     string    // whatever else tells that it changed: inode, change time, device
	// Recent: it has changed so lately, by the file system's own clock, that a
	// change within the same tick would not show.
	Recent bool
}

// Caps are what a tree of files can hold.
type Caps struct {
	Modes, Symlinks bool
	CaseSensitive   bool
	// Normal returns the one form of a name that all those have which are the same
	// name here, as one text can be spelt in more than one way in Unicode: they clash,
	// and one that is listed in another form than it was given is still the same
	// file. Nil: each name is its own.
	Normal  func(name string) string
	MaxName int // bytes of a name; 0 for no limit
	// Refuses says why a name cannot be had, or "". Nil refuses none.
	Refuses func(name string) string
	Free    int64 // bytes, now: a file that has more is not begun; 0 if that is not known
	// Claim keeps everybody else away who would change the tree, whatever notes they
	// have, until release is called. ErrBusy if somebody is at it. Nil: nobody else
	// can reach it.
	Claim func(ctx context.Context) (release func() error, err error)
	// Now is a moment by the tree's own clock: whatever is written from now on, without
	// a time of its own, has a ModTime that is not before it. What was placed with an
	// earlier time is then not read again by the next sync. The zero time: it is.
	Now time.Time
}
