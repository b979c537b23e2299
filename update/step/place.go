package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/owned"
)

// makeFolder makes the folder beside the program.
func (p place) makeFolder() error {
	err := p.disk.Mkdir(p.beside(""))
	if err == nil {
		return p.disk.SyncDir(p.dir())
	}
	if errors.Is(err, fs.ErrExist) {
		return p.checkFolder()
	}
	return err
}

// checkFolder refuses a folder in which others could put a program.
func (p place) checkFolder() error {
	info, err := os.Lstat(p.beside(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (!info.IsDir() || owned.Writable(info) || owned.Foreign(info)) {
		err = fmt.Errorf("step: %q is not a folder of this user alone", p.beside(""))
	}
	return err
}

// checkOwner refuses to follow what the folder beside the program says if
// somebody could have made it who could not have replaced the program, as in a
// folder of everybody.
func (p place) checkOwner() error {
	info, err := os.Lstat(p.beside(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	around, err := os.Stat(p.dir())
	if err != nil {
		return err
	}
	if !info.IsDir() || owned.Writable(info) || owned.Foreign(info) && !sameOwner(info, around) {
		return fmt.Errorf("step: %q is not a folder of this user, or of whose program it is", p.beside(""))
	}
	return nil
}

// sameOwner reports whether two files are known to be of one user.
func sameOwner(a, b fs.FileInfo) bool {
	one, _, known := owned.Of(a)
	other, _, also := owned.Of(b)
	return known && also && one == other
}

// switchTo puts a program that is written beside the old one into its place,
// on trial.
func (p place) switchTo(ctx context.Context, d swapped, fresh string, tr trial) error {
	return p.locked(ctx, func(last *trial) error {
		seen, err := os.Lstat(p.path)
		if err != nil {
			return err
		}
		if err := p.expect(ctx, d.Old); err != nil {
			return err
		}
		if err := p.keepOld(tr.Aside); err != nil {
			return fmt.Errorf("keeping the old program: %w", err)
		}
		switch {
		case last == nil:
		case last.Aside == tr.Aside: // of an earlier attempt
			tr.Before = last.Before
		default:
			tr.Before = last.Aside
		}
		if err := p.writeTrial(tr); err != nil {
			return err
		}
		if now, err := os.Lstat(p.path); err != nil || !untouched(seen, now) {
			return errors.Join(err, errReplaced)
		}
		return p.putNew(fresh, tr.Aside)
	})
}

// untouched reports whether a file is the same and has the same content.
func untouched(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// keepOld gives the program a second name, which is durable once something
// else in the folder is.
func (p place) keepOld(aside string) error {
	if err := durable.RemoveOn(p.disk, p.beside(aside)); err != nil { // of an earlier attempt
		return err
	}
	if p.gap {
		return nil // it will be renamed
	}
	return p.link(p.path, p.beside(aside))
}

// link gives a program another name. Some file systems have no links, and some
// systems let nobody link to a file of somebody else: there it is a copy.
func (p place) link(path, name string) error {
	if p.disk.Link(path, name) == nil {
		return nil
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	to, err := p.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, adopt(to, info), to.Sync(), to.Close()); err != nil {
		return errors.Join(err, p.disk.Remove(name))
	}
	return nil
}

// adopt gives a file the mode of another one, and its owner where this process
// may give files away.
func adopt(f durable.File, like fs.FileInfo) error {
	if uid, gid, ok := owned.Of(like); ok {
		_ = f.Chown(uid, gid) // it is ours already, or nobody but root may
	}
	return f.Chmod(like.Mode().Perm())
}

// putNew gives the new program its name.
func (p place) putNew(fresh, aside string) error {
	if p.gap {
		if err := p.disk.Rename(p.path, p.beside(aside)); err != nil {
			return err
		}
	}
	err := p.disk.Rename(p.beside(fresh), p.path)
	if err != nil && p.gap {
		err = errors.Join(err, p.disk.Rename(p.beside(aside), p.path))
	}
	return err
}

// sync makes names durable, here and beside.
func (p place) sync() error {
	return errors.Join(p.disk.SyncDir(p.dir()), p.disk.SyncDir(p.beside("")))
}

// sweep removes the files of ours beside the program that picks names.
func (p place) sweep(picks func(name string) bool) error {
	entries, err := os.ReadDir(p.beside(""))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !isOurs(e.Name()) || !picks(e.Name()) {
			continue
		}
		if err := p.disk.Remove(p.beside(e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// isOurs reports whether a name is one that is given beside a program.
func isOurs(name string) bool {
	return isTemporary(name) || slices.ContainsFunc([]string{newPrefix, oldPrefix, undonePrefix}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// isTemporary reports whether a file is what a killed process has left of
// writing a trial, or of going back.
func isTemporary(name string) bool {
	return strings.HasPrefix(name, "."+trialFile) || strings.HasPrefix(name, backPrefix)
}
