package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// Backup writes a consistent, checked copy to a new file, which only its owner
// can read; an existing file is fs.ErrExist. The database can be used
// meanwhile. Of a database opened by Use, everything is copied, the
// application's own tables too. Whoever is killed meanwhile leaves a file
// .upkeep-copy-* beside the backup, which nobody needs.
//
// Whoever opens the copy, wherever it is put and whatever put it there, begins
// a new history: see Open.
func (d *DB) Backup(ctx context.Context, path string) error {
	if err := d.engine.copyTo(ctx, path); err != nil {
		return fmt.Errorf("backing up to %q: %w", path, err)
	}
	return nil
}

func (e *engine) copyTo(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fs.ErrExist)
	}
	return e.lender.copy(ctx, func(s *session) error {
		temp, err := vacuum(ctx, s, filepath.Dir(path))
		if err != nil {
			return err
		}
		defer os.Remove(temp)
		if err := markCopy(temp); err != nil {
			return err
		}
		return publish(temp, path)
	})
}

// markCopy makes a file a copy: whoever opens it begins a new history.
func markCopy(path string) error {
	s, err := dial(path, defaultBusyTimeout)
	if err != nil {
		return unopened(path, err)
	}
	return errors.Join(s.Exec("PRAGMA synchronous = FULL; UPDATE upkeep_history SET place = ''"), s.Close())
}

// publish gives a finished file its name, which must be free.
func publish(temp, path string) error {
	if err := os.Link(temp, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// vacuum writes a whole, checked copy of a database to a new file in a folder.
func vacuum(ctx context.Context, s *session, folder string) (temp string, err error) {
	f, err := os.CreateTemp(folder, ".upkeep-copy-*") // 0600
	if err != nil {
		return "", refused(folder, err)
	}
	temp = f.Name()
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(f.Name())
		}
	}()
	err = s.within(ctx, func() error { return s.Exec("VACUUM INTO ?1", temp) })
	if err != nil {
		return "", err
	}
	if err := whole(ctx, temp); err != nil {
		return "", err
	}
	return temp, f.Sync()
}

// whole checks every page and index of a database.
func whole(ctx context.Context, path string) error {
	s, err := dial(path, defaultBusyTimeout, "query_only(1)")
	if err != nil {
		return unopened(path, err)
	}
	var found string
	err = s.within(ctx, func() error { return s.Row("PRAGMA integrity_check(1)", nil, &found) })
	if err == nil && found != "ok" {
		err = fmt.Errorf("%w: %q: %s", storage.ErrCorrupt, path, found)
	}
	return errors.Join(err, s.Close())
}

// Restore replaces the database of c by a backup, all at once: a crash leaves
// the old one or the new one. Nobody may have the database open: then it is
// storage.ErrBusy, and nothing happens. A backup that is damaged or not ours is
// refused with the errors of Open, and so is a database that is damaged beyond
// opening: move it away first. One that has tables of a newer library, which a
// store of this one could not write to, is storage.ErrNewer.
func Restore(ctx context.Context, backup string, c Config) error {
	if err := restore(ctx, backup, c); err != nil {
		return fmt.Errorf("restoring %q: %w", backup, err)
	}
	return nil
}

func restore(ctx context.Context, backup string, c Config) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	path = behind(path)
	temp, err := fresh(ctx, backup, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := dropLog(path); err != nil {
			return err
		}
		return publish(temp, path)
	}
	return replace(temp, path)
}

// replace puts a finished file in the place of a database that nobody has open.
func replace(temp, path string) error {
	old, err := closeDown(path)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := dropLog(path); err != nil { // the index of one, if a process was killed
		return err
	}
	if runtime.GOOS == "windows" { // which does not replace an open file
		old.Close()
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// fresh makes a copy of a backup in a folder, and sees that it can be used.
func fresh(ctx context.Context, backup, folder string) (temp string, err error) {
	info, err := os.Stat(backup)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %q is not a file", storage.ErrForeign, backup)
	}
	s, err := dial(backup, defaultBusyTimeout)
	if err != nil {
		return "", unopened(backup, err)
	}
	defer s.Close()
	if _, err := checkLog(backup, info); err != nil {
		return "", err
	}
	marked, err := ours(backup, s)
	if err == nil && !marked {
		err = fmt.Errorf("%w: %q", storage.ErrForeign, backup)
	}
	if err == nil {
		err = whole(ctx, backup)
	}
	if err != nil {
		return "", err
	}
	if temp, err = vacuum(ctx, s, folder); err != nil {
		return "", err
	}
	d, err := opened(Config{Path: temp}, func(path, _ string, c Config) (*DB, error) {
		d, _, err := connectAny(path, c, nil)
		return d, err
	})
	if err == nil {
		err = errors.Join(d.stores.Check(ctx), d.stores.Settle(ctx, judgeCopy), d.Close()) // which leaves no log
	}
	if err != nil {
		os.Remove(temp)
		return "", err
	}
	return temp, nil
}

// closeDown folds the log of a database into its file and returns a connection
// that keeps everybody else out, or storage.ErrBusy.
func closeDown(path string) (*session, error) {
	s, err := dial(path, 0, "locking_mode(EXCLUSIVE)")
	if err != nil {
		return nil, unopened(path, err)
	}
	if _, err = ours(path, s); err == nil {
		err = noteClosing(path, s)
	}
	if err == nil {
		err = s.Exec("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
	}
	if err != nil {
		return nil, errors.Join(unopened(path, err), s.Close())
	}
	return s, nil
}

// noteClosing notes in a database that its log is about to go: a process that is
// killed meanwhile leaves a file that looks as if it had lost it. One that says
// so already is not written to: who has opened the file that was here before has
// the same path for its journal.
func noteClosing(path string, s *session) error {
	var place string
	if s.Row(placeNoted, nil, &place) != nil {
		return nil // of an older library, which notes nothing
	}
	if place == placeOfCopy || strings.HasSuffix(place, closedMark) {
		return nil
	}
	note := func() error { return sqlstore.Settle(s, sqlstore.Dialect{}, judgeCopy) }
	if o := originOf(path); o.matches(place) {
		note = func() error { _, err := o.leave(s); return err }
	}
	if err := s.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := note(); err != nil {
		return errors.Join(err, s.Exec("ROLLBACK"))
	}
	return s.Exec("COMMIT")
}

// dropLog removes what is left of the log of a database that is gone: SQLite
// would take it for that of the next.
func dropLog(path string) error {
	var errs []error
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(path + end); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
