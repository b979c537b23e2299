package step

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// Restore implements [Backup]: it puts every page of the copy in the place of
// the database's, by the table sqlite_dbpage and in one transaction, as
// sqlite3_rsync does. Whoever reads or writes the database sees the one or the
// other content, and so does whoever opens it after a crash.
//
// In the same transaction, so that nobody writes in between, it first saves
// what is there beside the copy, page by page, under a name with "-replaced-"
// that it writes to Task.Output: rows written since the copy was made are only
// there. Others who write wait until the end, or give up with SQLITE_BUSY.
func (s SQLite) Restore(ctx context.Context, t *update.Task, name string) error {
	path, err := filepath.Abs(filepath.Join(s.Dir, name))
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("restoring the database: %w", err)
	}
	err = s.with(ctx, func(c *sql.Conn) error {
		if err := checkCopy(ctx, t, c, path); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err // the connection is thrown away: that rolls back what follows
		}
		if err := s.saveReplaced(ctx, t, c, name); err != nil {
			return fmt.Errorf("saving what is replaced: %w", err)
		}
		return copyPages(ctx, c, path, t)
	})
	if err != nil {
		return fmt.Errorf("restoring the database from %q: %w", path, err)
	}
	return nil
}

// saveReplaced saves what c, which is in a transaction, is about to replace by
// the copy called name. It takes the pages as they are: there may be reason to
// go back because they are damaged.
func (s SQLite) saveReplaced(ctx context.Context, t *update.Task, c *sql.Conn, name string) error {
	now := time.Now().UTC().Format("20060102T150405.000Z")
	replaced := strings.TrimSuffix(name, ".db") + replacedMark + now + ".db"
	err := s.write(replaced, func(f *os.File) error {
		rows, err := c.QueryContext(ctx, "SELECT pgno, data FROM sqlite_dbpage")
		if err != nil {
			return err
		}
		defer rows.Close()
		for n := int64(1); rows.Next(); n++ {
			var pgno int64
			var page []byte
			if err := rows.Scan(&pgno, &page); err != nil {
				return err
			}
			if pgno == 1 { // the copy is one without a log
				copy(page[atJournalMode:atReserved], []byte{1, 1})
			}
			if _, err := f.WriteAt(page, (pgno-1)*int64(len(page))); err != nil {
				return err
			}
			if n%256 == 0 {
				t.Progress(0, 0, fmt.Sprintf("%d pages saved", n))
			}
		}
		return rows.Err()
	})
	if err == nil {
		say(t, "saved what the restore replaces as "+replaced)
	}
	return err
}

// copyPages replaces the database of c, which is in a transaction, by the one
// in the file at path, and commits.
func copyPages(ctx context.Context, c *sql.Conn, path string, t *update.Task) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var live []byte
	err = c.QueryRowContext(ctx, "SELECT data FROM sqlite_dbpage WHERE pgno = 1").Scan(&live)
	if err != nil {
		return err
	}
	put, err := c.PrepareContext(ctx, "INSERT INTO sqlite_dbpage (pgno, data) VALUES (?, ?)")
	if err != nil {
		return err
	}
	defer put.Close()
	var cookie uint32
	page, n := make([]byte, len(live)), int64(0)
	for ; ; n++ {
		if _, err := io.ReadFull(f, page); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if n == 0 {
			if cookie, err = adaptHeader(page, live); err != nil {
				return err
			}
		}
		if n == lockOffset/int64(len(page)) {
			continue
		}
		if _, err := put.ExecContext(ctx, n+1, page); err != nil {
			return err
		}
		if n%256 == 0 {
			t.Progress(n, info.Size()/int64(len(page)), "restoring")
		}
	}
	// A page without data is where the database ends.
	if _, err := put.ExecContext(ctx, n+1, nil); err != nil {
		return err
	}
	// A new cookie makes every connection read the schema again. This one must
	// not, so it is set last.
	if _, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA schema_version = %d", cookie)); err != nil {
		return err
	}
	defer vouch(t, "committing", info.Size())()
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

// replacedMark is in the names of copies of what a Restore replaced.
const replacedMark = "-replaced-"

// lockOffset is where the page begins that SQLite locks and never uses.
const lockOffset = 1 << 30

// Where things are in the first page: SQLite file format, section 1.3.
const atPageSize, atJournalMode, atReserved, atSchemaCookie = 16, 18, 20, 40

// adaptHeader makes the first page of a copy one of the live database, whose
// journal mode and, for now, schema cookie it keeps. It returns a cookie that
// neither has had.
func adaptHeader(page, live []byte) (cookie uint32, err error) {
	if [2]byte(page[atPageSize:]) != [2]byte(live[atPageSize:]) || page[atReserved] != live[atReserved] {
		return 0, fmt.Errorf("step: the copy has pages of another size than the database")
	}
	copy(page[atJournalMode:atReserved], live[atJournalMode:])
	cookie = 1 + max(binary.BigEndian.Uint32(page[atSchemaCookie:]), binary.BigEndian.Uint32(live[atSchemaCookie:]))
	copy(page[atSchemaCookie:atSchemaCookie+4], live[atSchemaCookie:])
	return cookie, nil
}
