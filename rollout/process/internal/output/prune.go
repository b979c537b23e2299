package output

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"
)

// Prune deletes the default folders of revisions without open Logs, but for the
// newest of each service, and holds those to their limits, which may have grown
// while there was no Keeper.
func (k *Keeper) Prune(keep int) error {
	services, err := fs.ReadDir(k.root.FS(), revisionsFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, s := range services {
		if s.IsDir() {
			errs = append(errs, k.pruneService(path.Join(revisionsFolder, s.Name()), keep))
		}
	}
	return errors.Join(append(errs, err)...)
}

func (k *Keeper) pruneService(service string, keep int) error {
	entries, err := fs.ReadDir(k.root.FS(), service)
	type folder struct {
		path string
		used time.Time
	}
	var all []folder
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() {
			all = append(all, folder{path.Join(service, e.Name()), info.ModTime()})
		}
	}
	slices.SortStableFunc(all, func(a, b folder) int { return b.used.Compare(a.used) })
	errs := []error{err}
	for _, f := range all {
		open, err := k.pruneRevision(f.path, keep <= 0)
		if errs = append(errs, err); !open {
			keep--
		}
	}
	_ = k.root.Remove(service) // if nothing is in it
	return errors.Join(errs...)
}

func (k *Keeper) pruneRevision(dir string, remove bool) (open bool, err error) {
	r := k.useFolder(dir, nil)
	defer k.release(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.open() > 0:
		return true, nil
	case remove:
		r.streams, r.scanned, r.recovered = nil, false, false
		return false, k.root.RemoveAll(dir)
	}
	r.recover()
	r.tidy()
	return false, nil
}
