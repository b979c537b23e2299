package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Disk is the calls that change files and their names. Work that has to
// survive a crash at any moment goes through one, so that its tests can put a
// disk in the place of [OS] that kills, fails, or forgets what was not synced.
type Disk interface {
	// Create makes a file of mode 0600. One that is there is an error.
	Create(path string) (File, error)
	// Append opens a file to write at its end.
	Append(path string) (File, error)
	// Mkdir makes a folder of mode 0700. One that is there is an error.
	Mkdir(path string) error
	// Link gives a file another name. A name that is there is an error.
	Link(path, name string) error
	// Rename gives a file this name instead of its own, in the place of
	// whatever has it.
	Rename(path, name string) error
	Remove(path string) error
	// SyncDir makes the names in a folder durable: files that were made,
	// renamed or removed there.
	SyncDir(dir string) error
}

// File is a file that is written.
type File interface {
	io.WriteCloser
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
	// Sync makes content and attributes durable, but not the name.
	Sync() error
}

// OS is the disk of the operating system.
var OS Disk = system{}

type system struct{}

func (system) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (system) Append(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

func (system) Mkdir(path string) error        { return os.Mkdir(path, 0o700) }
func (system) Link(path, name string) error   { return os.Link(path, name) }
func (system) Rename(path, name string) error { return os.Rename(path, name) }
func (system) Remove(path string) error       { return os.Remove(path) }

func (system) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS journals its names
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
