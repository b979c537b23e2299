package syncertest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// PersonIn returns a Person who works in a folder of the system.
func PersonIn(t testing.TB, dir string) Person { return person{t, dir} }

type person struct {
	testing.TB
	dir string
}

func (p person) at(path string) string {
	name := filepath.Join(p.dir, filepath.FromSlash(path))
	require.NoError(p, os.MkdirAll(filepath.Dir(name), 0o755))
	return name
}

func (p person) Write(path, content string) {
	require.NoError(p, os.WriteFile(p.at(path), []byte(content), 0o644))
}

func (p person) Folder(path string)       { require.NoError(p, os.MkdirAll(p.at(path), 0o755)) }
func (p person) Link(path, target string) { require.NoError(p, os.Symlink(target, p.at(path))) }
func (p person) Remove(path string)       { require.NoError(p, os.RemoveAll(p.at(path))) }

func (p person) Touch(path string, at time.Time) {
	require.NoError(p, os.Chtimes(p.at(path), at, at))
}
