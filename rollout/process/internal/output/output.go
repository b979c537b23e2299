// Package output keeps what replicas print, in files that never block or end who
// prints: no pipe, which would end a replica after its controller.
//
// Read output.go, log.go, stream.go (what there is of one replica), tidy.go and
// rotate.go (how it is kept within limits), then read.go.
package output

import (
	"os"
	"sync"

	"github.com/upkeep-go/upkeep/rollout"
)

// Config says how much is kept. A zero field means its default.
type Config struct {
	Size  int64 // of one file, in bytes; default 8 MiB
	Files int   // how many files of Size those of a revision may take in all; default 5
}

// Keeper keeps the output of replicas in one folder. It is for one process at a
// time, and safe for concurrent use.
type Keeper struct {
	root  *os.Root
	size  int64
	total int64 // of a revision

	mu        sync.Mutex
	revisions map[string]*revision // those in use, by their folder
}

// New returns a Keeper of the logs below root.
func New(root *os.Root, c Config) *Keeper {
	if c.Size <= 0 {
		c.Size = 8 << 20
	}
	if c.Files <= 0 {
		c.Files = 5
	}
	return &Keeper{root: root, size: c.Size, total: c.Size * int64(c.Files), revisions: map[string]*revision{}}
}

// Start makes the file for a replica that is about to start, or takes up that of
// an earlier one of this name. Folder is "" or a path that Valid takes. If there
// can be no file, the Log is of os.DevNull, and what is lost is said by End and
// Read.
func (k *Keeper) Start(id rollout.RevisionID, folder, replica string) *Log {
	return k.open(id, folder, replica, nil)
}

// Adopt takes up the file that a running process prints to: running, which
// becomes the Log's and is opened to read and to append, or nil if it is not
// known. It may have been deleted: what is in it is carried over. One that was
// never below the folder of all logs is the process's own, and left alone.
func (k *Keeper) Adopt(id rollout.RevisionID, folder, replica string, running *os.File) *Log {
	return k.open(id, folder, replica, running)
}

func (k *Keeper) open(id rollout.RevisionID, folder, replica string, running *os.File) *Log {
	r := k.use(id, folder)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recover()
	s := r.stream(replica)
	if s.live != nil { // of a process before this one
		r.tidy()
		s.live.superseded = true
	}
	l := &Log{rev: r, stream: s}
	l.take(running)
	s.live = l
	return l
}

// use returns a revision, which the caller has to release.
func (k *Keeper) use(id rollout.RevisionID, folder string) *revision {
	dir, err := folderOf(id, folder)
	if err != nil {
		dir = "//" + folder + "//" + defaultFolder(id) // no path: none can be made
	}
	return k.useFolder(dir, err)
}

func (k *Keeper) useFolder(dir string, invalid error) *revision {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.revisions[dir]
	if r == nil {
		r = &revision{k: k, dir: dir, invalid: invalid, losses: map[string]*loss{}}
		k.revisions[dir] = r
	}
	r.users++
	return r
}

func (k *Keeper) release(r *revision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(k.revisions, r.dir)
	}
}

// Tidy holds the files to their limits, and follows those that were deleted or
// replaced. It is called every second.
func (k *Keeper) Tidy() {
	k.mu.Lock()
	var all []*revision
	for _, r := range k.revisions {
		r.users++
		all = append(all, r)
	}
	k.mu.Unlock()
	for _, r := range all {
		r.mu.Lock()
		if r.open() > 0 {
			r.tidy()
		}
		r.mu.Unlock()
		k.release(r)
	}
}
