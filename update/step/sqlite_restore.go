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
// other content, and so does whoever opens it after a crash. Before that it
// saves what is there beside the copy, under a name with "-replaced-" that it
// writes to Task.Output: rows written since the copy was made are only there.
func (s SQLite) Restore(ctx context.Context, t *update.Task, name string) error {
	path, err := filepath.Abs(filepath.Join(s.Dir, name))
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("restoring the database: %w", err)
	}
	now := time.Now().UTC().Format("20060102T150405.000Z")
	replaced := strings.TrimSuffix(name, ".db") + "-replaced-" + now + ".db"
	if err := s.save(ctx, t, replaced); err != nil {
		return fmt.Errorf("saving what a restore replaces: %w", err)
	}
	say(t, "saved what the restore replaces as "+replaced)
	err = s.with(ctx, func(c *sql.Conn) error {
		if err := checkCopy(ctx, c, path); err != nil {
			return err
		}
		return copyPages(ctx, c, path, t)
	})
	if err != nil {
		return fmt.Errorf("restoring the database from %q: %w", path, err)
	}
	return nil
}

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
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err // the connection is thrown away: that rolls back what follows
	}
	var live []byte
	var pages int64
	err = c.QueryRowContext(ctx, "SELECT data FROM sqlite_dbpage WHERE pgno = 1").Scan(&live)
	if err != nil {
		return err
	}
	if err := c.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	put, err := c.PrepareContext(ctx, "INSERT INTO sqlite_dbpage (pgno, data) VALUES (?, ?)")
	if err != nil {
		return err
	}
	defer put.Close()
	first, n := make([]byte, len(live)), int64(1)
	if _, err := io.ReadFull(f, first); err != nil {
		return err
	}
	if err := adaptHeader(first, live); err != nil {
		return err
	}
	for page := make([]byte, len(live)); ; {
		if _, err := io.ReadFull(f, page); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		n++
		if _, err := put.ExecContext(ctx, n, page); err != nil {
			return err
		}
		if n%256 == 0 {
			t.Progress(n, info.Size()/int64(len(page)), "restoring")
		}
	}
	// The first page comes last, and by the same statement the end of the
	// database, at a page without data: a statement after the first page would
	// begin by reading a schema that is not to be read on this connection.
	last := "INSERT INTO sqlite_dbpage (pgno, data) VALUES (1, ?)"
	if pages > n {
		last += fmt.Sprintf(", (%d, NULL)", n+1)
	}
	if _, err := c.ExecContext(ctx, last, first); err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

// adaptHeader makes the first page of a copy the first page of the live
// database: it keeps the journal mode, and a schema cookie that nobody has
// seen makes every other connection read the schema again. The offsets are
// those of the SQLite file format, section 1.3.
func adaptHeader(page, live []byte) error {
	if [2]byte(page[16:18]) != [2]byte(live[16:18]) || page[20] != live[20] {
		return fmt.Errorf("step: the copy has pages of another size than the database")
	}
	const journalMode, schemaCookie = 18, 40
	copy(page[journalMode:journalMode+2], live[journalMode:])
	cookie := max(binary.BigEndian.Uint32(page[schemaCookie:]), binary.BigEndian.Uint32(live[schemaCookie:]))
	binary.BigEndian.PutUint32(page[schemaCookie:], cookie+1)
	return nil
}
