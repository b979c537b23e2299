//go:build unix

package remove

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFolder opens a folder, not a link to one, in the folder at.
func openFolder(at int, name string) (*os.File, error) {
	for {
		fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return os.NewFile(uintptr(fd), name), err
		}
	}
}

// removeAll removes path, or what is in it.
func removeAll(ctx context.Context, path string, alive func(), itself bool) error {
	path, err := filepath.Abs(path) // so that it ends in a name
	if err != nil {
		return err
	}
	around, err := os.OpenFile(filepath.Dir(path), unix.O_DIRECTORY|openOnly, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer around.Close()
	if itself {
		return removeAt(ctx, around, path, alive)
	}
	return removeIn(ctx, around, path, alive)
}

// removeAt removes what is at path, whose last element is in the folder at.
// The system refuses to unlink what something is mounted on.
func removeAt(ctx context.Context, at *os.File, path string, alive func()) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	name := filepath.Base(path)
	var info unix.Stat_t
	err := unix.Fstatat(int(at.Fd()), name, &info, unix.AT_SYMLINK_NOFOLLOW)
	folder := err == nil && info.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case folder:
		if err := removeIn(ctx, at, path, alive); err != nil {
			return err
		}
		err = unix.Unlinkat(int(at.Fd()), name, unix.AT_REMOVEDIR)
	case err == nil:
		err = unix.Unlinkat(int(at.Fd()), name, 0)
	}
	switch err {
	case nil:
		alive()
		return nil
	case unix.ENOENT:
		return nil
	case unix.EBUSY:
		return mounted(path)
	}
	return &fs.PathError{Op: "remove", Path: path, Err: err}
}

// removeIn removes what is in the folder at path. What is open is what was
// looked at: nothing that is mounted meanwhile gets in between.
func removeIn(ctx context.Context, at *os.File, path string, alive func()) error {
	dir, err := openFolder(int(at.Fd()), filepath.Base(path))
	switch {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer dir.Close()
	if err := sameMount(at, dir, path); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		err := removeAt(ctx, dir, filepath.Join(path, name), alive)
		if errors.Is(err, fs.ErrPermission) && unlock(dir) {
			err = removeAt(ctx, dir, filepath.Join(path, name), alive)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// unlock lets the owner of a folder that is read-only, which this user is,
// remove what is in it. It tells whether that is new.
func unlock(dir *os.File) bool {
	var info unix.Stat_t
	err := unix.Fstat(int(dir.Fd()), &info)
	mode := uint32(info.Mode) //nolint:unconvert // it is another type elsewhere
	return err == nil && int(info.Uid) == os.Geteuid() && mode&0o300 != 0o300 && unix.Fchmod(int(dir.Fd()), mode&0o7777|0o300) == nil
}

// sameMount returns an ErrMounted if dir, which is in the folder around and is
// found at path, is not of the same mount, or not on the same device.
func sameMount(around, dir *os.File, path string) error {
	var a, b unix.Stat_t
	if err := errors.Join(unix.Fstat(int(around.Fd()), &a), unix.Fstat(int(dir.Fd()), &b)); err != nil {
		return err
	}
	if a.Dev != b.Dev || mountOf(around) != mountOf(dir) {
		return mounted(path)
	}
	return nil
}

// findOther returns a folder below dir that is on another device, or "". It
// leaves out what it cannot look into.
func findOther(dir string) (string, error) {
	device := func(path string) (dev uint64, err error) {
		var info unix.Stat_t
		err = unix.Lstat(path, &info)
		return uint64(info.Dev), err //nolint:unconvert // it is another type elsewhere
	}
	around, err := device(filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	found := ""
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil
		}
		if dev, err := device(path); err == nil && dev != around {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}
