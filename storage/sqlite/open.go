package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// applicationID marks a file of ours in its header: "Upkp".
const applicationID = 0x55706b70

// path is absolute: an URI has no other.
func (c Config) path() (string, error) {
	if c.Path == "" {
		return "", fmt.Errorf("sqlite: Config.Path is empty: %w", fs.ErrInvalid)
	}
	return filepath.Abs(c.Path)
}

// open tries again if the file was replaced by Restore while it was opened.
func open(c Config, migrations fs.FS) (*DB, error) {
	return opened(c, func(path, folded string, c Config) (*DB, error) { return connect(path, folded, c, migrations) })
}

// opened prepares a file and connects to it.
func opened(c Config, connect func(path, folded string, c Config) (*DB, error)) (*DB, error) {
	path, err := c.path()
	if err != nil {
		return nil, err
	}
	c = c.complete()
	for range 3 {
		before, folded, err := prepare(path)
		if err != nil {
			return nil, err
		}
		d, err := connect(path, folded, c)
		if after, gone := os.Stat(path); gone == nil && os.SameFile(before, after) {
			return d, err
		}
		if err == nil {
			_ = d.Close() // of a file that has lost its name
		}
	}
	return nil, fmt.Errorf("%w: %q is being replaced", storage.ErrBusy, path)
}

// creating keeps apart the creation of a file and opening it: to close a file
// drops the locks that SQLite has on it in the same process.
var creating sync.Mutex

// prepare says what is at path, and makes an empty file if nothing is. It
// returns what checkLog does.
func prepare(path string) (info fs.FileInfo, folded string, err error) {
	creating.Lock()
	defer creating.Unlock()
	info, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := checkLog(path, nil); err != nil {
			return nil, "", err
		}
		// SQLite would let everybody read it.
		var f *os.File
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err == nil {
			err = f.Close()
		}
		if err == nil || errors.Is(err, fs.ErrExist) {
			info, err = os.Stat(path)
		}
	}
	switch {
	case err != nil:
		return nil, "", refused(path, err)
	case !info.Mode().IsRegular():
		return nil, "", fmt.Errorf("%w: %q is not a file", storage.ErrForeign, path)
	case info.Size() > 0 && info.Size() < 512: // SQLite would take it for empty
		return nil, "", fmt.Errorf("%w: %q has %d bytes", storage.ErrForeign, path, info.Size())
	}
	folded, err = checkLog(path, info)
	return info, folded, err
}

// connect opens a database that goes on, or begins a new history.
func connect(path, folded string, c Config, migrations fs.FS) (*DB, error) {
	d, lender, err := connectAny(path, c, migrations)
	if err != nil {
		return nil, err
	}
	origin := originOf(path)
	origin.folded = folded
	if err := origin.settle(context.Background(), d.stores); err != nil {
		return nil, errors.Join(fmt.Errorf("%q: %w", path, err), d.Close())
	}
	lender.origin = origin
	d.engine.writer.fold() // so that the file alone says that it is in use
	return d, nil
}

// connectAny makes sure that the file is ours before it changes anything in it.
func connectAny(path string, c Config, migrations fs.FS) (*DB, *own, error) {
	writer, err := dial(path, c.BusyTimeout)
	if err != nil {
		return nil, nil, unopened(path, err)
	}
	if err := setUp(writer, c); err != nil {
		return nil, nil, errors.Join(unopened(path, err), writer.Close())
	}
	lender := newOwn(path, writer, c.BusyTimeout)
	e := startEngine(path, lender, c.BusyTimeout, &dataVersion{connect: lender.reader, place: lender.place})
	ctx := context.Background()
	err = e.Write(ctx, func(tx sqlstore.Tx) error { return mark(path, tx) })
	if err == nil {
		err = lender.place.settle()
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%q: %w", path, err), e.close())
	}
	d, err := newDB(ctx, e, c, migrations)
	if err != nil {
		return nil, nil, fmt.Errorf("%q: %w", path, err)
	}
	return d, lender, nil
}

// dial opens a connection. The pragmas are SQLite's, such as query_only(1).
func dial(path string, busy time.Duration, pragmas ...string) (*session, error) {
	// First of all wait for others: every other pragma may have to.
	values := url.Values{"_pragma": append([]string{"busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")"}, pragmas...)}
	values.Set("mode", "rw") // and not what SQLite would make, for everybody to read, where nothing is
	// A driver of our own: the hooks and functions that the application
	// registers with the one of database/sql are not for us.
	conn, err := new(driver.Driver).Open(uri(path, values))
	if err != nil {
		return nil, translate(path, err)
	}
	return newSession(path, conn), nil
}

// uri names a file by an URI, in which no character of the path has a meaning.
func uri(path string, query url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/dir/file
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}
	return u.String()
}

// setUp brings the writer's connection into the mode that it keeps.
func setUp(s *session, c Config) error {
	// SQLite opens what it cannot write, and begins to write there too. The
	// first read leaves files beside it that nobody can write later.
	file, ok := s.conn.(interface {
		IsReadOnly(schema string) (bool, error)
	})
	if !ok {
		return fmt.Errorf("sqlite: %T cannot say whether it can write", s.conn)
	}
	if readOnly, err := file.IsReadOnly("main"); err != nil || readOnly {
		return errors.Join(fmt.Errorf("%w: %q", storage.ErrReadOnly, s.path), err)
	}
	if _, err := ours(s.path, s); err != nil {
		return err
	}
	var mode string
	err := patiently(c.BusyTimeout, func() error { return s.Row("PRAGMA journal_mode = WAL", nil, &mode) })
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("sqlite: %q: no write-ahead log on this file system: %w", s.path, errors.ErrUnsupported)
	}
	synchronous := "FULL"
	if c.Relaxed {
		synchronous = "NORMAL"
	}
	// The writer waits for others by itself, where close can see it. While it
	// folds the log into the file everybody waits, so that is done every 16 MB
	// and not every 4.
	return s.Exec("PRAGMA synchronous = " + synchronous + "; PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = 4000")
}

// ours returns storage.ErrForeign for a database that somebody else made, and
// whether it has our mark.
func ours(path string, tx sqlstore.Tx) (marked bool, err error) {
	var id int64
	if err := tx.Row("PRAGMA application_id", nil, &id); err != nil {
		return false, err
	}
	switch id {
	case applicationID:
		return true, nil
	case 0:
	default:
		return false, fmt.Errorf("%w: %q has the application id %#x", storage.ErrForeign, path, id)
	}
	var tables int64
	var name string
	err = tx.Row(`SELECT count(*), coalesce(min(name), '') FROM sqlite_schema
		WHERE name NOT LIKE 'upkeep\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`,
		nil, &tables, &name)
	if err == nil && tables > 0 {
		err = fmt.Errorf("%w: %q has a table %q", storage.ErrForeign, path, name)
	}
	return false, err
}

// mark makes a database ours.
func mark(path string, tx sqlstore.Tx) error {
	marked, err := ours(path, tx)
	if err != nil || marked {
		return err
	}
	return tx.Exec("PRAGMA application_id = " + strconv.Itoa(applicationID))
}
