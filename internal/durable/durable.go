// Package durable changes files so that the change survives a power cut.
package durable

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
)

// Write makes path hold data, whole or not at all, with this mode whatever the
// umask. It goes by a file with another name in the same folder.
func Write(path string, data []byte, mode fs.FileMode) error {
	return WriteOn(OS, path, data, mode)
}

// WriteOn is Write on a disk.
func WriteOn(d Disk, path string, data []byte, mode fs.FileMode) error {
	dir, name := filepath.Split(path)
	return write(d, filepath.Join(dir, "."+name+"-"+rand.Text()), path, data, mode)
}

// Rewrite is Write for who keeps everybody else from doing so meanwhile: the
// file by which it goes always has the same name, path.tmp, so that of many
// processes that are killed one file is left, and not many.
func Rewrite(path string, data []byte, mode fs.FileMode) error {
	fresh := path + ".tmp"
	if err := OS.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return write(OS, fresh, path, data, mode)
}

func write(d Disk, fresh, path string, data []byte, mode fs.FileMode) error {
	f, err := d.Create(fresh)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = d.Rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, d.Remove(fresh))
	}
	return d.SyncDir(filepath.Dir(path))
}

// Remove removes a file. One that is not there is not an error.
func Remove(path string) error { return RemoveOn(OS, path) }

// RemoveOn is Remove on a disk.
func RemoveOn(d Disk, path string) error {
	if err := d.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable: files that were made, renamed
// or removed there.
func SyncDir(dir string) error { return OS.SyncDir(dir) }
