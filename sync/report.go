package sync

import (
	"bytes"
	"io/fs"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// report is what an engine tells while it works.
type report struct {
	Step     Step
	Progress Progress
	Path     string // of the file that was the last
	Retry    error  // why the remote is asked once more, or nil
}

// teller tells how far a sync has come. Its calls take turns, so that who is told
// need not think of goroutines.
type teller struct {
	tell func(report)
	turn chan struct{} // whoever has put something into it has the turn
	now  report
}

func newTeller(tell func(report)) *teller {
	return &teller{tell: tell, turn: make(chan struct{}, 1)}
}

// begin tells that a step begins, in which so much is to be done, as far as is
// known.
func (t *teller) begin(s Step, files, bytes int64) {
	t.take(func() { t.now = report{Step: s, Progress: Progress{AllFiles: files, AllBytes: bytes}} })
}

// done tells of files and bytes that are done, the last of which has this path.
func (t *teller) done(path string, files, bytes int64) {
	t.take(func() {
		t.now.Progress.Files += files
		t.now.Progress.Bytes += bytes
		t.now.Path = path
	})
}

// sent tells of bytes that go to the remote. They count once all has been read, and
// no more of them than were to be sent: folders come on top.
func (t *teller) sent(bytes int64) {
	t.take(func() {
		if p := &t.now.Progress; t.now.Step == StepUpload {
			p.Bytes = min(p.Bytes+bytes, p.AllBytes)
		}
	})
}

// retry tells that the remote is asked once more.
func (t *teller) retry(why error) {
	t.take(func() { t.now.Retry = why })
}

func (t *teller) take(change func()) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	change()
	if t.tell != nil {
		t.tell(t.now)
	}
	t.now.Retry = nil
}

// counting is the body of a pack. It counts how much of it has gone, in bytes of its
// contents: how far somebody has read, at most, since a part may go twice.
type counting struct {
	*bytes.Reader
	u       *upload
	content int64 // bytes

	mu    sync.Mutex
	read  int64 // bytes of the pack
	told  int64 // of content
	ended bool
}

// ReadAt implements io.ReaderAt. Who reads on after the put has returned, as a
// transport may that gave up, reads nothing.
func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, fs.ErrClosed
	}
	n, err := c.Reader.ReadAt(p, off)
	if n > 0 {
		c.read = max(c.read, off+int64(n))
	}
	gone := int64(float64(c.content)*float64(c.read)/float64(c.Size())) - c.told
	c.told += gone
	if gone > 0 {
		c.u.waiting.Add(-gone)
		c.u.r.tell.sent(gone)
	}
	return n, err
}

// end ends the reading. What nobody has read waits no more.
func (c *counting) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.u.waiting.Add(c.told - c.content)
}

// tally counts the files that go from one tree to another, and their bytes: those
// that come or change, and those that go.
type tally struct{ files, bytes, deleted int64 }

func (t *tally) count(c tree.Change) {
	switch {
	case isFile(c.New) && (!isFile(c.Old) || c.Old.Link != c.New.Link || !slices.Equal(c.Old.Chunks, c.New.Chunks)):
		t.files++
		t.bytes += c.New.Size
	case isFile(c.Old) && !isFile(c.New):
		t.deleted++
	}
}

// isFile reports whether an entry is there, and no folder.
func isFile(e *tree.Entry) bool { return e != nil && e.Kind != tree.Folder }
