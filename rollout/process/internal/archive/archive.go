// Package archive fetches and unpacks the archives of revisions.
//
// Read archive.go for what a [Shelf] does, fetch.go for how an archive comes,
// unpack.go and entry.go for what is refused of it, and prune.go for what goes.
package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/rollout"
)

// Config bounds archives. A zero field means its documented default.
type Config struct {
	// Client sends the requests; Timeout and CheckRedirect are not used. A
	// server that brings nothing for 30 seconds is given up, and asked again up
	// to eight times in a row. Default: one without cookies.
	Client *http.Client
	// MaxSize bounds an archive, in bytes as it is fetched. Default 1 GiB.
	MaxSize int64
	// MaxUnpacked bounds an archive, in bytes as it is unpacked, with all that
	// the tar format adds to its files. Default 4 GiB.
	MaxUnpacked int64
	// MaxFiles bounds how many files, links and folders are made of an archive,
	// those included that have no entry of their own. Default 100,000.
	MaxFiles int
}

// Shelf is a folder of unpacked archives. It is safe for concurrent use, and by
// several processes: one at a time fetches, unpacks and prunes. What is in the
// folder:
//
//	<digest>          an unpacked archive, whole
//	<digest>.kept     how to go on with a fetch
//	<digest>.tar      an archive that was fetched, and what begins with this
//	                  and a dot, a part of one
//	<digest>.<other>  a folder that is being filled, or removed
//	lock              the process that is at work
type Shelf struct {
	Config
	root *os.Root
	hold hold

	mu   sync.Mutex
	live map[string]*flight // by name
}

// New uses root, the folder of all archives, which is to be of this user alone
// and is not closed by the Shelf. It must not be one that was renamed.
func New(root *os.Root, c Config) *Shelf {
	c.MaxSize = cmp.Or(c.MaxSize, 1<<30)
	c.MaxUnpacked = cmp.Or(c.MaxUnpacked, 4<<30)
	c.MaxFiles = cmp.Or(c.MaxFiles, 100_000)
	return &Shelf{Config: c, root: root, hold: newHold(filepath.Join(root.Name(), lockName)), live: map[string]*flight{}}
}

const (
	lockName = "lock"
	keptPart = ".kept"
	tarPart  = ".tar"
)

// ofShelf is what a Shelf calls its files: a digest, and what comes after it.
var ofShelf = regexp.MustCompile(`^([0-9a-f]{64})(\..+)?$`)

// Get returns the folder, relative to root, in which an archive is unpacked,
// whole. It fetches and unpacks the archive unless that is done. A digest names
// a folder: once it is there, the URL is not asked. Of many callers one works,
// and all have its result; the work ends when nobody waits for it any more. A
// fetch that was interrupted goes on where it was, also in another process, if
// the server can.
//
// An archive is a tar archive, as it is or by gzip or zstd, of files, folders
// and links; what else there could be in one, or lead outside of it, is refused
// with a rollout.ErrInvalid that says what and which entry, and so is one with
// another digest or above a limit. Programs and folders have mode 0755, all else
// 0644, whatever the archive says: setuid, setgid and sticky bits are dropped,
// and so are owners and times.
func (s *Shelf) Get(ctx context.Context, a rollout.Archive) (dir string, err error) {
	if len(a.Digest) != sha256.Size {
		return "", fmt.Errorf("%w: the digest of the archive has %d bytes and is no SHA-256", rollout.ErrInvalid, len(a.Digest))
	}
	name := hex.EncodeToString(a.Digest)
	if err := s.join(ctx, name, a); err != nil {
		return "", fmt.Errorf("archive %s: %w", name[:12], err)
	}
	return name, nil
}

// there reports whether an archive is unpacked.
func (s *Shelf) there(name string) (bool, error) {
	info, err := s.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, fmt.Errorf("%q is no folder", name)
	}
	return true, nil
}

// work does what Get promises.
func (s *Shelf) work(ctx context.Context, name string, a rollout.Archive) (err error) {
	if err := s.hold.enter(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.hold.leave()) }()
	if there, err := s.there(name); there || err != nil {
		return err // by another process
	}
	if err := s.sweep(ctx, name, isFolder); err != nil {
		return err
	}
	if err := s.fetch(ctx, name, a); err != nil {
		return err
	}
	err = s.unpack(ctx, name)
	if err != nil && ctx.Err() != nil {
		return err // what was fetched is good
	}
	// What was fetched has been used, or is of no use. Nor does what it was
	// made of stay when there is no room for it.
	return errors.Join(err, s.sweep(context.WithoutCancel(ctx), name, func(fs.DirEntry) bool { return true }))
}

func isFolder(e fs.DirEntry) bool { return e.IsDir() }

// sweep removes what was left of work on an archive and picks names. What is
// unpacked, whole, stays.
func (s *Shelf) sweep(ctx context.Context, name string, picks func(fs.DirEntry) bool) error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		parts := ofShelf.FindStringSubmatch(e.Name())
		if parts == nil || parts[1] != name || parts[2] == "" || !picks(e) {
			continue
		}
		if err := remove.All(ctx, s.path(e.Name()), func() {}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shelf) path(name string) string { return filepath.Join(s.root.Name(), name) }
