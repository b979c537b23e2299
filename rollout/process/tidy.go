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
	var digests [][]byte
	runs := map[string]bool{}
	d.mu.Lock()
	for _, r := range d.replicas {
		runs[r.Revision.Run] = true
		if r.spec.Archive != nil {
			digests = append(digests, r.spec.Archive.Digest)
		}
	}
	d.mu.Unlock()
	err := d.archives.Prune(func(digest []byte) bool {
		for _, used := range digests {
			if bytes.Equal(used, digest) {
				return true
			}
		}
		return false
	})
	return errors.Join(err, d.output.Prune(keptLogs), d.pruneBuilds(runs))
}

func (d *Deployer) pruneBuilds(used map[string]bool) error {
	builds, err := fs.ReadDir(d.root.FS(), buildsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, b := range builds {
		if !used[b.Name()] {
			err = errors.Join(err, d.root.RemoveAll(path.Join(buildsDir, b.Name())))
		}
	}
	return err
}
