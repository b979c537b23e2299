package output_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

var time0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

var web = rollout.RevisionID{Service: rollout.ServiceID{Env: "prod", Name: "web"}, Version: "v1.0", Run: "abc"}

// store is a Keeper and its folder.
type store struct {
	*output.Keeper
	t   *testing.T
	dir string
}

func open(t *testing.T, dir string, c output.Config) store {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return store{output.New(root, c), t, dir}
}

func (s store) start(replica string) *output.Log {
	l := s.Start(web, "", replica)
	s.t.Cleanup(func() { l.Close() })
	return l
}

func (s store) path(l *output.Log) string { return filepath.Join(s.dir, filepath.FromSlash(l.Path())) }

// folder is that of a log.
func (s store) folder(l *output.Log) string { return filepath.Dir(s.path(l)) }

func (s store) read(q rollout.LogQuery) string {
	s.t.Helper()
	return s.readOf(web, "", q)
}

func (s store) readOf(id rollout.RevisionID, folder string, q rollout.LogQuery) string {
	s.t.Helper()
	r, err := s.Read(s.t.Context(), id, folder, q)
	require.NoError(s.t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	require.NoError(s.t, err)
	return string(text)
}

// size is what all files of a folder take.
func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	}))
	return n
}

func write(t *testing.T, l *output.Log, text string) {
	t.Helper()
	_, err := l.File().WriteString(text)
	require.NoError(t, err)
}

// lines are numbered, of 10 bytes each.
func lines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %04d\n", i)
	}
	return b.String()
}

// printed leaves out what the Keeper says.
func printed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "upkeep: ") {
			b.WriteString(line)
		}
	}
	return b.String()
}
