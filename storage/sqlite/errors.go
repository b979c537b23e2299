package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/upkeep-go/upkeep/storage"
)

// translate says by SQLite's result code what storage calls an error, and
// which file it is about.
func translate(path string, err error) error {
	var coded *driver.Error
	if err == nil || !errors.As(err, &coded) {
		return err
	}
	kind := kindOf(coded.Code())
	if kind == nil {
		return fmt.Errorf("sqlite: %q: %w", path, err)
	}
	return fmt.Errorf("%w: %q: %w", kind, path, err)
}

func kindOf(code int) error {
	switch code {
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
		// What a quota and a limit on the size of files look like.
		return storage.ErrFull
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return storage.ErrBusy
	case sqlite3.SQLITE_FULL:
		return storage.ErrFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return storage.ErrReadOnly
	case sqlite3.SQLITE_CORRUPT:
		return storage.ErrCorrupt
	case sqlite3.SQLITE_NOTADB:
		return storage.ErrForeign
	}
	return nil
}

// unopened translates what SQLite says when it may not open a file that is
// there, or may not make its log beside it.
func unopened(path string, err error) error {
	var coded *driver.Error
	if errors.As(err, &coded) && coded.Code()&0xff == sqlite3.SQLITE_CANTOPEN {
		return fmt.Errorf("%w: %q: %w", storage.ErrReadOnly, path, err)
	}
	return err
}

// refused explains why the system did not make a file.
func refused(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sqlite: %q has no folder: %w", path, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %q: %w", storage.ErrReadOnly, path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %q: %w", storage.ErrFull, path, err)
	}
	return fmt.Errorf("sqlite: %w", err)
}
