// Package owned tells whose files are, and opens only those that nobody but this
// user and the system could have put where they are.
package owned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrOthers reports a path that others could turn, or a file that they could
// write.
var ErrOthers = errors.New("others could change it")

// maxLinks bounds how many links a path has.
const maxLinks = 40

// Folder refuses a folder in which others could put something, or in whose place
// another one: every folder of its path, and of where links of it lead, has to be
// of this user or of root, and none may be writable by others unless it keeps
// them from what is not theirs, as /tmp does. It must be there.
func Folder(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	links := 0
	return walk(path, &links)
}

func walk(path string, links *int) error {
	if parent := filepath.Dir(path); parent != path {
		if err := walk(parent, links); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case stranger(info):
		return fmt.Errorf("%w: %q is somebody else's", ErrOthers, path)
	case info.Mode()&fs.ModeSymlink != 0:
		if *links++; *links > maxLinks {
			return fmt.Errorf("%q has too many links", path)
		}
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		return walk(to, links)
	case !info.IsDir():
		return fmt.Errorf("%q is no folder", path)
	case Writable(info) && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%w: they may write the folder %q", ErrOthers, path)
	}
	return nil
}

// Open opens the file or block device at path, which must be no link. Neither it
// nor its Folder may be one that others could have changed, and a file has one
// name only.
func Open(path string, flags int, perm fs.FileMode) (*os.File, error) {
	if err := Folder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flags|noFollow, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func check(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case stranger(info):
		return fmt.Errorf("%w: %q is somebody else's", ErrOthers, path)
	case mode&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
		return nil // who may write it, the system has said
	case !mode.IsRegular():
		return fmt.Errorf("%q is neither a file nor a block device", path)
	case Writable(info):
		return fmt.Errorf("%w: they may write %q", ErrOthers, path)
	case names(info) > 1:
		return fmt.Errorf("%w: %q has another name", ErrOthers, path)
	}
	return nil
}

// stranger reports whether a file is neither this user's nor root's.
func stranger(info fs.FileInfo) bool {
	uid, _, known := Of(info)
	return known && uid != 0 && uid != os.Geteuid()
}
