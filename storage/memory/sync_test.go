package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

func TestFiles(t *testing.T) {
	syncertest.RunFiles(t, syncertest.FilesHarness{Open: func(testing.TB) (cloudsync.Files, syncertest.Person) {
		files := memory.New().Files("notes")
		return files, files.Person()
	}})
}

func TestFilesGoWithTheEngine(t *testing.T) {
	db := memory.New()
	files := db.Files("notes")
	files.Person().Write("d/one", "1")
	require.Same(t, files, db.Files("notes"))
	_, there := db.Files("other").Person().Read("d/one")
	require.False(t, there, "trees do not see each other")
	require.NoError(t, db.Close())
	_, err := files.Stat(t.Context(), "d/one")
	require.ErrorIs(t, err, storage.ErrClosed)
	files.Person().Write("d/one", "2")
	_, there = files.Person().Read("d/one")
	require.False(t, there)
}

func TestAPersonRenamesAndChangesFiles(t *testing.T) {
	files := memory.New().Files("notes")
	p := files.Person()
	p.Write("d/one", "1")
	p.Write("e/two", "2")
	before, err := files.Stat(t.Context(), "d/one")
	require.NoError(t, err)
	p.Rename("d", "e")
	p.Rename("e", "e/below") // cannot be
	_, there := p.Read("e/two")
	require.False(t, there, "it is in the place of what was there")
	after, err := files.Stat(t.Context(), "e/one")
	require.NoError(t, err)
	require.NotEqual(t, before.Tag, after.Tag)
	require.Equal(t, before.ModTime, after.ModTime)
	p.Chmod("e/one", 0o600)
	p.Touch("e/one", time.Unix(7, 0))
	got, err := files.Stat(t.Context(), "e/one")
	require.NoError(t, err)
	require.EqualValues(t, 0o600, got.Mode)
	require.Equal(t, time.Unix(7, 0), got.ModTime)
	content, there := p.Read("e/one")
	require.True(t, there)
	require.Equal(t, "1", content)
}
