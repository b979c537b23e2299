package dir

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// Remotes are directories in one directory: a folder for what the name folds to,
// and in it one for the name, both spelt in the lower case of base32hex, so that
// any name is one of a file on any system. A remote gets its folder by a rename,
// which replaces none that has something, and loses it by another. On Windows one
// that is open cannot be removed. There is nothing to close.
type Remotes struct{ path string }

var _ cloudsync.Remotes = (*Remotes)(nil)

// OpenRemotes opens the directory of many remotes.
func OpenRemotes(c Config) (*Remotes, error) {
	if err := makeDir(c.Path); err != nil {
		return nil, err
	}
	return &Remotes{c.Path}, nil
}

// What stands before the names of folders that are no remote's, and in none of
// base32hex.
const (
	beginMark = "+new-"
	endMark   = "+old-"
)

var spelling = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func spelt(name string) string { return spelling.EncodeToString([]byte(name)) }

// folderFor is the path of a remote.
func folderFor(name string) string {
	return spelt(cloudsync.FoldRemoteName(name)) + "/" + spelt(name)
}

// in opens the directory for one call.
func (s *Remotes) in(ctx context.Context, doing string, call func(*os.Root) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return failed("opening the directory", err)
	}
	err = call(root)
	if e := root.Close(); err == nil {
		err = e
	}
	return failed(doing, err)
}

// Open implements sync.Remotes.
func (s *Remotes) Open(ctx context.Context, name string) (cloudsync.Remote, error) {
	if cloudsync.CheckRemoteName(name) != nil {
		return nil, fmt.Errorf("%w: remote %.80q", cloudsync.ErrNotFound, name)
	}
	var r *Remote
	err := s.in(ctx, "opening a remote", func(root *os.Root) error {
		one, err := root.OpenRoot(folderFor(name))
		if err != nil {
			return err
		}
		r, err = open(one, durable.In(one), ways)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("remote %q: %w", name, err)
	}
	return r, nil
}

// List implements sync.Remotes. Folders that are not ours are left out.
func (s *Remotes) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var names []string
		err := s.in(ctx, "listing remotes", func(root *os.Root) (err error) {
			names, err = listed(root)
			return err
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

func listed(root *os.Root) (names []string, err error) {
	folders, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if _, err := spelling.DecodeString(f.Name()); err != nil || !f.IsDir() {
			continue
		}
		inner, err := fs.ReadDir(root.FS(), f.Name())
		if errors.Is(err, fs.ErrNotExist) { // removed just now
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f2 := range inner {
			name, err := spelling.DecodeString(f2.Name())
			if err == nil && folderFor(string(name)) == f.Name()+"/"+f2.Name() {
				names = append(names, string(name))
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements sync.Remotes.
func (s *Remotes) Create(ctx context.Context, name string) error {
	if err := cloudsync.CheckRemoteName(name); err != nil {
		return err
	}
	return s.in(ctx, "creating a remote", func(root *os.Root) error {
		disk, to := durable.In(root), spelt(cloudsync.FoldRemoteName(name))
		fresh := beginMark + rand.Text()
		err := there(root, to)
		if err == nil {
			err = disk.Mkdir(fresh)
		}
		if err == nil {
			err = disk.Mkdir(fresh + "/" + spelt(name))
		}
		if err == nil {
			err = tidyBegun(root, fresh)
		}
		if err == nil {
			err = disk.SyncDir(fresh)
		}
		if err == nil {
			if err = disk.Rename(fresh, to); err != nil {
				err = cmp.Or(there(root, to), err)
				err = errors.Join(err, root.RemoveAll(fresh))
			}
		}
		if err == nil || errors.Is(err, fs.ErrExist) { // who is told so may rely on it
			err = cmp.Or(disk.SyncDir("."), err)
		}
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w: remote %q", cloudsync.ErrExists, name)
		}
		return err
	})
}

// tidyBegun removes what was left, as long ago as no put lasts, by who was killed
// while a remote was made. Fresh is from now.
func tidyBegun(root *os.Root, fresh string) error {
	now, err := root.Lstat(fresh)
	if err != nil {
		return err
	}
	folders, err := fs.ReadDir(root.FS(), ".")
	for _, f := range folders {
		if !strings.HasPrefix(f.Name(), beginMark) {
			continue
		}
		info, e := f.Info()
		if e == nil && now.ModTime().Sub(info.ModTime()) > stale {
			e = root.RemoveAll(f.Name())
		}
		if err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	return err
}

// there is fs.ErrExist if a path is there.
func there(root *os.Root, path string) error {
	_, err := root.Lstat(path)
	if err == nil {
		return fs.ErrExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Remove implements sync.Remotes. What is left when it is interrupted goes with
// the next one.
func (s *Remotes) Remove(ctx context.Context, name string) error {
	if cloudsync.CheckRemoteName(name) != nil {
		return ctx.Err() // there is none
	}
	return s.in(ctx, "removing a remote", func(root *os.Root) error {
		disk, at := durable.In(root), folderFor(name)
		if _, err := root.Lstat(at); err == nil {
			err = disk.Rename(path.Dir(at), endMark+rand.Text())
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // another one was faster
				return err
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := disk.SyncDir("."); err != nil {
			return err
		}
		return clearRemoved(root)
	})
}

// clearRemoved deletes what was removed.
func clearRemoved(root *os.Root) error {
	folders, err := fs.ReadDir(root.FS(), ".")
	for _, f := range folders {
		if strings.HasPrefix(f.Name(), endMark) {
			err = cmp.Or(err, root.RemoveAll(f.Name()))
		}
	}
	return err
}
