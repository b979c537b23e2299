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
	folders []*os.File
}

func (*flusher) written(f *os.File) error { return f.Sync() }

func (d *flusher) changed(in *os.Root) {
	if runtime.GOOS == "windows" {
		return // folders cannot be synced there
	}
	if f, err := in.Open("."); err == nil { // else it has gone
		d.mu.Lock()
		defer d.mu.Unlock()
		d.folders = append(d.folders, f)
	}
}

func (d *flusher) flush(root *os.Root) error {
	d.changed(root)
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, f := range d.folders {
		errs = append(errs, f.Sync(), f.Close())
	}
	d.folders = nil
	return errors.Join(errs...)
}
