package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	driver "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/storage"
)

// logPath returns where the log of a database is, which need not be there.
func logPath(path string) string { return behind(path) + "-wal" }

// checkLog refuses a database that has lost its log, and a log that SQLite would
// delete or bring into a database that it does not belong to. Info is of the
// file at path, or nil if there is none. It changes nothing. It returns the
// place that a database notes whose log others have folded into it.
func checkLog(path string, info fs.FileInfo) (folded string, err error) {
	// Others may be opening it or closing it: what is wrong stays wrong, and
	// folded what was folded.
	for range 3 {
		folded, err = "", nil
		log, missing := os.Stat(logPath(path))
		switch {
		case missing == nil && log.Size() > 0:
			err = checkStray(path, info, log)
		case info != nil && info.Size() > 0:
			folded, err = checkAlone(path)
		}
		if err == nil && folded == "" {
			return "", nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return folded, err
}

// checkStray looks at a log that there is.
func checkStray(path string, info, log fs.FileInfo) error {
	if info == nil || info.Size() == 0 {
		return fmt.Errorf("%w: %q is empty or missing, but not its log %q: put the file back that belongs to the log, or move the log away",
			storage.ErrCorrupt, path, logPath(path))
	}
	logged, err := wantsLog(path)
	if err != nil || logged {
		return nil // what else is wrong SQLite will say
	}
	if now, err := os.Stat(logPath(path)); err != nil || !os.SameFile(log, now) {
		return nil // somebody has closed the database meanwhile
	}
	return fmt.Errorf("%w: %q was closed, or is a backup, and has no log: %q is that of another file; move it away if this is the right file",
		storage.ErrCorrupt, path, logPath(path))
}

// wantsLog reports whether a database may have a log, by its header alone.
func wantsLog(path string) (bool, error) {
	var header []byte
	err := alone(path, func(s *session) error {
		return s.Row("SELECT substr(data, 1, 100) FROM sqlite_dbpage WHERE pgno = 1", nil, &header)
	})
	if err == nil && len(header) < 100 {
		err = errors.New("sqlite: no header")
	}
	return err == nil && header[18] == 2, err // "file format write version": 2 is that of a log
}

// alone shows what is in the file of a database without its log, and leaves
// everything as it is. The file must not be read by other means: to close it
// would drop the locks that SQLite has on it in this process. If somebody folds
// a log into it meanwhile, it may look damaged.
func alone(path string, f func(*session) error) error {
	conn, err := new(driver.Driver).Open(uri(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}))
	if err != nil {
		return translate(path, err)
	}
	s := newSession(path, conn)
	return errors.Join(f(s), s.Close())
}
