package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/storage"
)

// lookEvery is how old the last look at the files may be for a reader. A writer
// always looks.
const lookEvery = time.Second

// besides are the ends of the names of the files that SQLite has open beside
// the database: the log, and its index, by which processes keep out of each
// other's way.
var besides = []string{"-wal", "-shm"}

// place is where a database lies. What is written into a file that has lost
// its name is seen by nobody else, and gone with the process; and whoever comes
// to the name has another database.
type place struct {
	path   string       // may be a link
	looked atomic.Int64 // when, Unix nanoseconds
	gone   atomic.Pointer[error]

	mu    sync.Mutex
	files []file // those that are open
}

type file struct {
	path string
	info fs.FileInfo
}

// behind returns where a database is whose path may be a link: what SQLite has
// open beside it is beside that. Some systems cannot say, and have no links.
func behind(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// settle notes which files are open. It is called by who has opened them, while
// they are certainly there.
func (p *place) settle() error {
	files := []file{{path: p.path}}
	for _, end := range besides {
		files = append(files, file{path: behind(p.path) + end})
	}
	for i := range files {
		var err error
		if files[i].info, err = os.Stat(files[i].path); err != nil {
			return p.lost(err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = files
	return nil
}

// settleAt does so for a file whose log, if it has one, is not ours. Path may be
// empty: a database in memory has no place to lose.
func settleAt(path string) (*place, error) {
	p := &place{path: path}
	if path == "" {
		return p, nil
	}
	info, err := os.Stat(path)
	p.files = []file{{path, info}}
	return p, err
}

// look returns storage.ErrMoved if a file that is open is not at its path any
// more, and from then on for ever. While nobody can say, such as in a folder that
// may not be entered, it returns why.
func (p *place) look() error {
	if gone := p.gone.Load(); gone != nil {
		return *gone
	}
	p.mu.Lock()
	files := p.files
	p.mu.Unlock()
	for _, f := range files {
		info, err := os.Stat(f.path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return p.lost(err)
		case err != nil:
			return fmt.Errorf("sqlite: looking whether a database is at its place: %w", err)
		case !os.SameFile(info, f.info):
			return p.lost(fmt.Errorf("another file is at %q", f.path))
		}
	}
	p.looked.Store(time.Now().UnixNano())
	return nil
}

// keep writes, and looks before anybody is told that the files have it.
func (p *place) keep(write func() error) error {
	if gone := p.gone.Load(); gone != nil {
		return *gone
	}
	if err := write(); err != nil {
		return err
	}
	return p.look()
}

// glance is look, but not more often than every lookEvery.
func (p *place) glance() error {
	if gone := p.gone.Load(); gone != nil {
		return *gone
	}
	if since := time.Now().UnixNano() - p.looked.Load(); since >= 0 && since < int64(lookEvery) {
		return nil
	}
	return p.look()
}

// lost remembers that the files are gone.
func (p *place) lost(why error) error {
	err := fmt.Errorf("%w: %q is not the file that is open: it was moved, removed or replaced; "+
		"stop the program, put the right file and what lies beside it in its place, and start again: %w", storage.ErrMoved, p.path, why)
	p.gone.CompareAndSwap(nil, &err)
	return *p.gone.Load()
}
