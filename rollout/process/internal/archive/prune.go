package archive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/remove"
)

// pruneWait is how long another process may be at work before Prune fails.
const pruneWait = 10 * time.Second

// Prune deletes what is unpacked and not in use, and left-overs of interrupted
// work. What could be gone on with of an archive that is in use stays. It leaves
// alone what it has not made, what Get is at work on, and a folder on which
// something is mounted, which is an error; the others are deleted all the same.
//
// An archive has to be in use from before Get is called.
func (s *Shelf) Prune(inUse func(digest []byte) bool) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), pruneWait)
	defer cancel()
	if err := s.hold.enter(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.hold.leave()) }()
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range entries {
		if parts := ofShelf.FindStringSubmatch(e.Name()); parts != nil {
			failed = append(failed, s.judge(e, parts[1], inUse))
		}
	}
	return errors.Join(failed...)
}

// judge discards an entry that nobody needs.
func (s *Shelf) judge(e fs.DirEntry, name string, inUse func(digest []byte) bool) error {
	free, ok := s.reserve(name)
	if !ok {
		return nil
	}
	defer free()
	digest, err := hex.DecodeString(name)
	if err != nil {
		return err
	}
	there, err := s.there(name)
	if err != nil {
		return err
	}
	useful := e.Name() == name || !there && !e.IsDir()
	if useful && inUse(digest) {
		return nil
	}
	return s.discard(e.Name(), name)
}

// discard removes an entry of the shelf. A whole folder has another name before
// anything in it goes.
func (s *Shelf) discard(name, digest string) error {
	if err := remove.Check(s.path(name)); err != nil {
		return err
	}
	if name == digest {
		name += "." + rand.Text()
		if err := s.root.Rename(digest, name); err != nil {
			return err
		}
		if err := durable.SyncDir(s.root.Name()); err != nil {
			return err
		}
	}
	return remove.All(context.Background(), s.path(name), func() {})
}
