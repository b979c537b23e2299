//go:build darwin || freebsd || windows

package sync

import (
	"errors"
	"os"
	"runtime"
	"sync"
)

// flusher makes changes durable: each file when it is written, and the names in
// each folder that was changed.
type flusher struct {
	mu      sync.Mutex
	folders []*os.File // that are not durable, open
	failed  error      // of those that were closed
}

// maxOpen is how many folders stay open at most.
const maxOpen = 64

func (*flusher) written(f *os.File) error { return f.Sync() }

func (d *flusher) changed(in *os.Root) {
	if runtime.GOOS == "windows" {
		return // folders cannot be synced there
	}
	if f, err := in.Open("."); err == nil { // else it has gone
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.folders = append(d.folders, f); len(d.folders) == maxOpen {
			d.failed = errors.Join(d.failed, d.sync())
		}
	}
}

func (d *flusher) flush(root *os.Root) error {
	d.changed(root)
	d.mu.Lock()
	defer d.mu.Unlock()
	err := errors.Join(d.failed, d.sync())
	d.failed = nil
	return err
}

// sync makes the open folders durable, and closes them. The mutex is held.
func (d *flusher) sync() error {
	var errs []error
	for _, f := range d.folders {
		errs = append(errs, f.Sync(), f.Close())
	}
	d.folders = nil
	return errors.Join(errs...)
}
