package durable

import (
	"errors"
	"os"
	"runtime"
)

// In is the disk of the operating system below a root: paths are relative to it,
// and none leads out of it.
func In(root *os.Root) Disk { return below{root} }

type below struct{ root *os.Root }

func (b below) Create(path string) (File, error) {
	return b.root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (b below) Append(path string) (File, error) {
	return b.root.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

func (b below) Mkdir(path string) error        { return b.root.Mkdir(path, 0o700) }
func (b below) Link(path, name string) error   { return b.root.Link(path, name) }
func (b below) Rename(path, name string) error { return b.root.Rename(path, name) }
func (b below) Remove(path string) error       { return b.root.Remove(path) }

func (b below) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // as system does
	}
	d, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
