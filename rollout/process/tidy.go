package process

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"
)

// keptLogs is of how many revisions of a service, without replicas, the output is
// kept.
const keptLogs = 20

// Of a service, mostAsleep revisions that sleep keep what they need, each for
// keptAsleep: nothing here tells which of two that have gone will wake, the one
// that replaced the other or the one to which others came back.
const (
	mostAsleep = 2
	keptAsleep = 7 * 24 * time.Hour
)

// asleep is a revision without replicas, which may wake.
type asleep struct {
	last  *replica
	until time.Time // by when it is given up
}

// tidy keeps output in its bounds until supervision ends, and lets go of what no
// replica needs any more.
func (d *Deployer) tidy() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-d.supervision.Done():
			return
		case <-tick.C:
		}
		d.output.Tidy()
		d.mu.Lock()
		for id, s := range d.asleep {
			if time.Now().After(s.until) {
				delete(d.asleep, id)
				d.left = true
			}
		}
		left := d.left
		d.left = false
		d.mu.Unlock()
		if left {
			if err := d.prune(); err != nil {
				d.config.Logger.Warn("process: what nothing needs any more cannot all be deleted", "dir", d.config.Dir, "error", err)
			}
		}
	}
}

// prune deletes archives, builds and output that no replica needs.
func (d *Deployer) prune() error {
	d.mu.Lock()
	for id := range d.commands {
		if !d.needed(func(r *replica) bool { return r.Revision == id }) {
			delete(d.commands, id)
		}
	}
	d.mu.Unlock()
	err := d.archives.Prune(func(digest []byte) bool {
		return d.needs(func(r *replica) bool { return r.spec.Archive != nil && bytes.Equal(r.spec.Archive.Digest, digest) })
	})
	return errors.Join(err, d.output.Prune(keptLogs), d.pruneBuilds())
}

// needs reports whether a replica, now, or the last of a revision that sleeps
// is such a one.
func (d *Deployer) needs(is func(*replica) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.needed(is)
}

// needed is needs while the mutex is held.
func (d *Deployer) needed(is func(*replica) bool) bool {
	for _, r := range d.replicas {
		if is(r) {
			return true
		}
	}
	for _, s := range d.asleep {
		if is(s.last) {
			return true
		}
	}
	return false
}

func (d *Deployer) pruneBuilds() error {
	builds, err := fs.ReadDir(d.root.FS(), buildsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	select {
	case d.adding <- struct{}{}: // nobody begins to build there
	case <-d.supervision.Done():
		return err
	}
	defer func() { <-d.adding }()
	for _, b := range builds {
		if !d.needs(func(r *replica) bool { return r.Revision.Run == b.Name() }) {
			err = errors.Join(err, d.root.RemoveAll(path.Join(buildsDir, b.Name())))
		}
	}
	return err
}
