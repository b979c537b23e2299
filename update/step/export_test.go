package step

import (
	"context"
	"database/sql"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// Rename is how a publish renames.
var Rename = rename

// Exchange is how this system swaps two folders.
var Exchange = exchange

// PublishBy is PublishFiles with another way to swap two folders.
func PublishBy(exchange func(a, b string) error, p Publish) update.Step {
	return PublishOn(exchange, rename, p)
}

// PublishOn is PublishBy with another way to rename.
func PublishOn(exchange, rename func(a, b string) error, p Publish) update.Step {
	publisher := newPublisher(p)
	publisher.exchange, publisher.rename = exchange, rename
	return publisher.step()
}

// Vouch is how a step shows that it lives during a long statement.
var Vouch = vouch

// DownloadOn is Download on a disk.
var DownloadOn = newDownload

// SwapOn is SwapBinary on a disk, and where gap is set on a system that cannot
// replace a program that runs.
func SwapOn(disk durable.Disk, gap bool, b Binary) update.Step {
	s := newSwapper(b, disk)
	s.gap = gap
	return s.step()
}

// BeginOn is Begin on a disk, with another way to become a program, which is
// not to return.
func BeginOn(disk durable.Disk, gap bool, path string, exec func(path string, env []string) error) (*Program, error) {
	p := &Program{place: place{disk: disk, path: path, gap: gap}, exec: exec, exit: func() {}}
	return p, p.begin()
}

// LaunchOn is Launch where gap is set on a system that cannot replace a program
// that runs.
func LaunchOn(ctx context.Context, gap bool, path string, args ...string) (int, error) {
	return launcher{place{disk: durable.OS, path: path, gap: gap}}.launch(ctx, args)
}

// RestartAs is Restart in another process than this one.
func RestartAs(process string, p *Program) update.Step {
	return restarter{Program: p, process: process}.step()
}

// RunMigration runs a file of SQL, whatever is in it, and records it.
func RunMigration(ctx context.Context, db *sql.DB, t *update.Task, name, text string) error {
	m := Migrations{DB: db}
	f, err := newMigration(name, []byte(text))
	if err != nil {
		return err
	}
	if _, err := m.rows(ctx, true); err != nil {
		return err
	}
	return m.apply(ctx, t, f)
}

// Statements returns the statements of a file for SQLite or for PostgreSQL.
func Statements(text string, postgres bool) (texts []string, lines []int, err error) {
	db := sqliteEngine
	if postgres {
		db = postgreSQL
	}
	err = split(text, db, func(s statement) error {
		texts, lines = append(texts, s.text), append(lines, s.line)
		return nil
	})
	return texts, lines, err
}
