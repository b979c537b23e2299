package step

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/update"
)

// migration is one file.
type migration struct {
	name, checksum string
	sql            string

	foreignKeys []string // its PRAGMA foreign_keys statements
	apart       bool     // it runs outside a transaction,
	parts       []part   // these statements one by one
}

const (
	maxMigration  = 64 << 20 // bytes of one file
	byteOrderMark = "\ufeff"
)

var migrationName = regexp.MustCompile(`^\d{4}_[A-Za-z0-9_-]{1,200}\.sql$`)

// read returns the files of a release in order.
func (m Migrations) read(r update.Release) ([]migration, error) {
	tree, err := m.Files(r)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(tree, ".") // sorted by name
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	var files []migration
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			if err := noMigrations(tree, name); err != nil {
				return nil, err
			}
			continue
		}
		if !looksLikeSQL(name) {
			continue
		}
		if !migrationName.MatchString(name) {
			return nil, fmt.Errorf("step: %q is not named like 0001_name.sql", name)
		}
		if n := len(files); n > 0 && files[n-1].name[:4] == name[:4] {
			return nil, fmt.Errorf("step: %s and %s have the same number", files[n-1].name, name)
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, fmt.Errorf("reading migrations: %w", err)
		}
		f, err := newMigration(name, data)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func looksLikeSQL(name string) bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSpace(name)), ".sql")
}

// noMigrations refuses a folder with files that somebody may take for migrations.
func noMigrations(tree fs.FS, dir string) error {
	err := fs.WalkDir(tree, dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && looksLikeSQL(path.Base(name)) {
			return fmt.Errorf("step: %q is in a folder, where no migrations are looked for", name)
		}
		return err
	})
	if errors.Is(err, fs.ErrPermission) {
		return nil // not for us
	}
	return err
}

// newMigration checks that data is text, so that a checksum, a database and a
// person read the same.
func newMigration(name string, data []byte) (migration, error) {
	if len(data) > maxMigration {
		return migration{}, fmt.Errorf("step: %s has %d bytes, at most %d are allowed", name, len(data), maxMigration)
	}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	for _, wide := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(wide)) {
			return migration{}, fmt.Errorf("step: %s is in UTF-16, and must be in UTF-8", name)
		}
	}
	for n, line := range bytes.Split(data, []byte("\n")) {
		if bytes.IndexByte(line, 0) >= 0 || !utf8.Valid(line) {
			return migration{}, fmt.Errorf("step: %s is not text in UTF-8: line %d", name, n+1)
		}
	}
	sum := sha256.Sum256(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")))
	return migration{name: name, checksum: hex.EncodeToString(sum[:]), sql: string(data)}, nil
}
