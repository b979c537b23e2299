package durabletest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/durabletest"
)

// folder has a file of this content.
func folder(t *testing.T, content string) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return dir, path
}

// left returns what power cuts may have left of a file, each once.
func left(t *testing.T, d *durabletest.Disk, path string) (all []string) {
	t.Helper()
	d.EachCut(t, func(any) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if !slices.Contains(all, string(data)) {
			all = append(all, string(data))
		}
	})
	return all
}

func TestWhatIsSyncedIsWholeAndWhatIsNotMayBeAnything(t *testing.T) {
	dir, path := folder(t, "old")
	d := durabletest.New(t, dir)
	require.NoError(t, durable.WriteOn(d, path, []byte("new text"), 0o600))
	require.ElementsMatch(t, []string{"old", "new text"}, left(t, d, path))

	dir, path = folder(t, "old")
	d = durabletest.New(t, dir)
	f, err := d.Create(path + ".tmp")
	require.NoError(t, err)
	_, err = f.Write([]byte("new text"))
	require.NoError(t, err)
	require.NoError(t, f.Close()) // and not synced
	require.NoError(t, d.Rename(path+".tmp", path))
	require.NoError(t, d.SyncDir(dir))
	require.ElementsMatch(t, []string{"old", "", "new "}, left(t, d, path))
}

func TestAWriteInPlaceIsTornBetweenSectors(t *testing.T) {
	const sector = 512
	text := func(s string) string { return strings.Repeat(s, sector) }
	dir, path := folder(t, text("abc"))
	d := durabletest.New(t, dir)
	r, err := d.Region(path)
	require.NoError(t, err)
	_, err = r.WriteAt([]byte("A"), 0)
	require.NoError(t, err)
	require.NoError(t, r.Sync())
	_, err = r.WriteAt([]byte(text("XY")), sector/2)
	require.NoError(t, err)
	require.NoError(t, r.Close()) // and not synced
	before := "A" + text("abc")[1:]
	head, tail := before[:sector/2], before[sector/2+2*sector:]
	all := left(t, d, path)
	for what, content := range map[string]string{
		"as it was":               text("abc"),
		"before":                  before,
		"after":                   head + text("XY") + tail,
		"the first sector alone":  head + text("XY")[:sector/2] + before[sector:],
		"the rest zeros":          head + text("XY")[:sector/2] + strings.Repeat("\x00", 3*sector/2) + tail,
		"the rest erased":         head + text("XY")[:sector/2] + strings.Repeat("\xff", 3*sector/2) + tail,
		"all erased":              head + strings.Repeat("\xff", 2*sector) + tail,
		"two sectors of three":    head + text("XY")[:3*sector/2] + before[2*sector:],
		"two, and the rest zeros": head + text("XY")[:3*sector/2] + strings.Repeat("\x00", sector/2) + tail,
	} {
		require.True(t, slices.Contains(all, content), what)
	}
}

func TestOfWritesInPlaceAnyMayBeThere(t *testing.T) {
	dir, path := folder(t, "....")
	d := durabletest.New(t, dir)
	r, err := d.Region(path)
	require.NoError(t, err)
	for i, s := range []string{"a", "b", "c"} {
		_, err = r.WriteAt([]byte(s), int64(i))
		require.NoError(t, err)
	}
	require.NoError(t, r.Close())
	require.Subset(t, left(t, d, path), []string{"....", "a...", ".b..", "..c.", "ab..", "a.c.", ".bc.", "abc."})
}

func TestWhatIsRememberedGoesWithWhatIsLeft(t *testing.T) {
	dir, path := folder(t, "0")
	d := durabletest.New(t, dir)
	for _, s := range []string{"1", "2", "3"} {
		require.NoError(t, durable.WriteOn(d, path, []byte(s), 0o600))
		d.Remember(s)
	}
	d.EachCut(t, func(state any) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if state != nil {
			require.GreaterOrEqual(t, string(data), state.(string), "it was durable before it was remembered")
		}
	})
}
