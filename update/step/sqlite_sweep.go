package step

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// copied is a copy in SQLite.Dir.
type copied struct {
	name string
	at   time.Time
}

// sweep removes what a dead process left half made, and the copies that are
// too many. It spares the one called keep.
func (s SQLite) sweep(ctx context.Context, prefix, keep string) error {
	needed, err := s.needed(ctx, prefix)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	// Run IDs are of one length; whatever else is there is somebody's.
	id := len(keep) - len(prefix) - len(".db")
	ours := regexp.MustCompile(fmt.Sprintf(`^(%s)?%s[a-z0-9]{%d}(%s[0-9TZ.]+)?\.db(-[0-9]+(-[a-z]+)?)?$`,
		regexp.QuoteMeta(tempPrefix), regexp.QuoteMeta(prefix), id, replacedMark))
	var copies, replaced []copied
	for _, e := range entries {
		info, err := e.Info()
		part := ours.FindStringSubmatch(e.Name())
		switch {
		case err != nil || !info.Mode().IsRegular() || e.Name() == keep || part == nil || (part[1] == "") != (part[3] == ""):
		case part[1] != "":
			_ = os.Remove(filepath.Join(s.Dir, e.Name()))
		case part[2] != "":
			replaced = append(replaced, copied{e.Name(), info.ModTime()})
		default:
			copies = append(copies, copied{e.Name(), info.ModTime()})
		}
	}
	n := max(cmp.Or(s.Keep, 3), 2)
	for _, c := range slices.Concat(oldest(copies, n-1), oldest(replaced, n)) {
		if c.name == needed {
			continue
		}
		if err := os.Remove(filepath.Join(s.Dir, c.name)); err != nil {
			return err
		}
	}
	return nil
}

// oldest returns all copies but the newest n.
func oldest(copies []copied, n int) []copied {
	slices.SortFunc(copies, func(a, b copied) int { return b.at.Compare(a.at) })
	return copies[min(n, len(copies)):]
}

// needed is the name of the copy that was made before the last migration that
// is in the database, or "". A migration that was undone is not in it.
func (s SQLite) needed(ctx context.Context, prefix string) (string, error) {
	var tables int
	err := s.DB.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '"+migrationTable+"'").Scan(&tables)
	if err != nil || tables == 0 {
		return "", err
	}
	var run string
	err = s.DB.QueryRowContext(ctx, "SELECT coalesce((SELECT run FROM "+migrationTable+" ORDER BY name DESC LIMIT 1), '')").Scan(&run)
	if err != nil {
		return "", fmt.Errorf("asking for the run of the last migration: %w", err)
	}
	return prefix + run + ".db", nil
}
