package step

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/owned"
)

// The folder beside Dir holds these of each run, whose names begin alike. They
// tell how far a switch got.
const (
	partly    = ".part"    // the new tree, while it is written
	ready     = ".new"     // the new tree, until it is switched
	replaced  = ".old"     // what was there before
	undone    = ".undone"  // the new tree, after it was switched back
	spared    = ".spare"   // what the release brought where something lives on
	madeSince = ".late"    // what somebody made in the place of Dir; with a number
	listed    = ".json"    // what the new tree consists of
	moving    = ".moving"  // what is on its way there because it cannot be renamed
	lifting   = ".lifting" // what is on its way to Dir because it cannot be renamed
	kept      = ".kept"    // a tree that is not removed, because of what is in it
)

// lates is how often somebody may make Dir again during a switch.
const lates = 100

// beside returns the path of a name in the folder beside Dir.
func (p *publisher) beside(name string) string {
	return filepath.Join(filepath.Dir(p.Dir), "."+filepath.Base(p.Dir)+".upkeep", name)
}

// folderID tells a folder from another when both have been renamed.
type folderID struct {
	Inode uint64 // 0 where there are none
	Time  int64  // when something was last put into it; Unix nanoseconds
}

func identifyFolder(path string) (folderID, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return folderID{}, err
	}
	return folderID{inodeOf(info), info.ModTime().UnixNano()}, nil
}

func (id folderID) is(other folderID) bool {
	if id.Inode == 0 || other.Inode == 0 {
		return id.Time == other.Time
	}
	return id.Inode == other.Inode
}

// begun tells whether the switch of the folder in, which is id, with what is
// to become out has begun.
func (p *publisher) begun(in, out string, id folderID) (bool, error) {
	if !exists(in) || exists(out) || exists(out+moving) {
		return true, nil
	}
	return p.exchanged(in, id)
}

// exchanged tells whether the folder id, which was in, has been exchanged with
// Dir, but what is there now has yet to get another name. Folders of some file
// systems, and those without inodes, are known by their times alone.
func (p *publisher) exchanged(in string, id folderID) (bool, error) {
	if id == (folderID{}) {
		return false, nil // it was not to be switched yet
	}
	there, err := identifyFolder(in)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := identifyFolder(p.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case there.is(id):
		return false, nil
	case here.is(id):
		return true, nil
	case there.Time == id.Time: // the numbers are others since
		return false, nil
	case here.Time == id.Time:
		return true, nil
	}
	return false, fmt.Errorf("step: neither %q nor %q is the folder that was to be switched", p.Dir, in)
}

// replace puts the folder in, which is id, in the place of Dir, and what was
// there, if anything, in the place of out. It goes on where it was interrupted.
func (p *publisher) replace(in, out string, id folderID) error {
	exchanged, err := p.exchanged(in, id)
	switch {
	case err != nil:
		return err
	case exchanged:
		err = p.rename(in, out)
	case !exists(in) && !exists(in+lifting): // done
	case exists(out) || !exists(p.Dir) && !exists(out+moving):
		err = p.settle(in)
	default:
		err = p.swap(in, out)
	}
	return errors.Join(err, p.sync())
}

// swap puts the folder in at Dir, and what is there at out.
func (p *publisher) swap(in, out string) error {
	if !exists(out + moving) {
		err := p.exchange(in, p.Dir)
		if err == nil {
			return p.rename(in, out)
		}
		if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EXDEV) {
			return err
		}
	}
	if err := p.move(p.Dir, out, out+moving); err != nil {
		return err
	}
	return p.settle(in)
}

// settle puts the folder in where nothing is but what somebody has made there
// who found nothing.
func (p *publisher) settle(in string) error {
	id, _, _ := ofRun(filepath.Base(in))
	for n := range lates {
		err := p.move(in, p.Dir, in+lifting)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		late := p.beside(id + fmt.Sprint(madeSince, n))
		if exists(late) {
			continue
		}
		if err := p.rename(p.Dir, late); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("step: somebody makes %q again and again", p.Dir)
}

// move renames a folder. One that comes, in part, from a lower layer of an
// overlay cannot be renamed: it is poured into the folder part first.
func (p *publisher) move(from, to, part string) error {
	if exists(to) {
		return fmt.Errorf("step: there is a %q already: %w", to, fs.ErrExist)
	}
	if !exists(part) {
		err := p.rename(from, to)
		if !errors.Is(err, syscall.EXDEV) {
			return err
		}
	}
	if exists(from) {
		if err := p.pour(from, part); err != nil {
			return err
		}
	}
	return p.rename(part, to)
}

// pour moves what is in a folder to another one, which may have a part of it
// already, and removes it.
func (p *publisher) pour(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	err = os.Mkdir(to, info.Mode().Perm())
	made := err == nil
	if made {
		err = takeAfter(to, info)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.pourEntry(e, filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	if made {
		_ = os.Chtimes(to, time.Time{}, info.ModTime())
	}
	if err := durable.SyncDir(to); err != nil {
		return err
	}
	return os.Remove(from) // it is empty, or stays
}

func (p *publisher) pourEntry(e fs.DirEntry, from, to string) error {
	info, err := os.Lstat(to)
	switch {
	case err == nil && info.IsDir() && e.IsDir():
		return p.pour(from, to)
	case err == nil:
		return fmt.Errorf("step: there is a %q already: %w", to, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	err = p.rename(from, to)
	if errors.Is(err, syscall.EXDEV) && e.IsDir() {
		return p.pour(from, to)
	}
	return err
}

// takeAfter gives a folder the mode of another one, and its owner as far as
// this process may.
func takeAfter(path string, like fs.FileInfo) error {
	if uid, gid, ok := owned.Of(like); ok && os.Lchown(path, uid, gid) != nil {
		_ = os.Lchown(path, -1, gid)
	}
	return os.Chmod(path, like.Mode()&(fs.ModePerm|fs.ModeSetgid|fs.ModeSetuid|fs.ModeSticky))
}

// sync makes a switch durable.
func (p *publisher) sync() error {
	return errors.Join(durable.SyncDir(filepath.Dir(p.Dir)), durable.SyncDir(p.beside("")))
}

// exists reports whether there is anything at path, a dead link included.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
