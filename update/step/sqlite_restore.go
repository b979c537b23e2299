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
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

// adaptHeader makes the first page of a copy one of the live database, whose
// journal mode and, for now, schema cookie it keeps. It returns a cookie that
// neither has had. The offsets are those of the SQLite file format, section
// 1.3.
func adaptHeader(page, live []byte) (cookie uint32, err error) {
	const pageSize, journalMode, reserved, schemaCookie = 16, 18, 20, 40
	if [2]byte(page[pageSize:]) != [2]byte(live[pageSize:]) || page[reserved] != live[reserved] {
		return 0, fmt.Errorf("step: the copy has pages of another size than the database")
	}
	copy(page[journalMode:reserved], live[journalMode:])
	cookie = 1 + max(binary.BigEndian.Uint32(page[schemaCookie:]), binary.BigEndian.Uint32(live[schemaCookie:]))
	copy(page[schemaCookie:schemaCookie+4], live[schemaCookie:])
	return cookie, nil
}
