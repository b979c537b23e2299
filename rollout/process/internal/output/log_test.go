package output_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

func TestWhatIsPrintedIsReadByEveryKeeper(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	require.Empty(t, s.read(rollout.LogQuery{}), "nothing is known of it")
	l := s.start("r-1")
	require.Empty(t, s.read(rollout.LogQuery{}), "nothing was printed")
	write(t, l, "hello\n")
	l.Note("it has started")
	write(t, l, "half")
	l.Note("it has ended")
	want := "hello\nupkeep: it has started\nhalf\nupkeep: it has ended\n"
	require.Equal(t, want, s.read(rollout.LogQuery{}))
	require.Equal(t, want, l.End())
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	l.Note("too late")
	require.Equal(t, want, l.End())
	require.Equal(t, want, s.read(rollout.LogQuery{}))
	require.Equal(t, want, open(t, s.dir, output.Config{}).read(rollout.LogQuery{}))

	again := open(t, s.dir, output.Config{}).Start(web, "", "r-1")
	defer again.Close()
	write(t, again, "again\n")
	require.Equal(t, want+"again\n", again.End())
}

func TestTheEndIsShortAndCanBeShown(t *testing.T) {
	l := open(t, t.TempDir(), output.Config{}).start("r-1")
	write(t, l, "a\x00b\x1b[1mc\td\xff\u0085é\r\n")
	require.Equal(t, "ab[1mc\td\uFFFDé\n", l.End())
	write(t, l, lines(0, 1000))
	require.Equal(t, lines(1000-409, 1000), l.End())
	write(t, l, strings.Repeat("é", 5000))
	end := l.End()
	require.True(t, utf8.ValidString(end))
	require.LessOrEqual(t, len(end), 4096)
	require.Greater(t, len(end), 4000, "a line without a begin is shown")
	write(t, l, "\n"+strings.Repeat("\xff-", 3000))
	require.LessOrEqual(t, len(l.End()), 4096)
}

func TestTheLastLogOfAReplicaGoesOn(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	first := s.start("r-1")
	write(t, first, "one\n")
	second := s.start("r-1")
	write(t, second, "two\n")
	require.NoError(t, first.Close())
	write(t, second, "three\n")
	s.Tidy()
	require.Equal(t, "one\ntwo\nthree\n", s.read(rollout.LogQuery{}))
}

func TestAFolderOfItsOwnIsForOneRevision(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	other := web
	other.Run = "ABC"
	for _, id := range []rollout.RevisionID{web, other} {
		l := s.Start(id, "shop/logs", "r-1")
		write(t, l, id.Run+"\n")
		require.True(t, strings.HasPrefix(l.Path(), "shop/logs/"), l.Path())
		require.NoError(t, l.Close())
	}
	require.Equal(t, "abc\n", s.readOf(web, "shop/logs", rollout.LogQuery{}))
	require.Equal(t, "ABC\n", s.readOf(other, "shop/logs", rollout.LogQuery{}))
	require.Empty(t, s.read(rollout.LogQuery{}))
}

func TestAFolderOutsideIsNone(t *testing.T) {
	for _, folder := range []string{"", "a", "a/b", ".", "a.b"} {
		require.True(t, output.Valid(folder), folder)
	}
	dir := t.TempDir()
	s := open(t, dir, output.Config{})
	for _, folder := range []string{"..", "../a", "/a", "a/../b", "a//b", "a\\b", "a\x00", "Revisions", output.RevisionsFolder + "/a"} {
		require.False(t, output.Valid(folder), folder)
		l := s.Start(web, folder, "r-1")
		write(t, l, "lost\n")
		s.Tidy()
		require.Contains(t, l.End(), "is no folder for logs")
		require.Contains(t, s.readOf(web, folder, rollout.LogQuery{}), "upkeep: what is printed is lost: ")
		require.NoError(t, l.Close())
	}
	require.Zero(t, size(t, dir))
}

func TestNoNameLeavesTheFolderOrIsAnothers(t *testing.T) {
	names := []string{
		"", ".", "..", "../x", "/", "a/b", "a@b", "a", "a.1", "a@1", "%", "%61", "a%40b", "\x00", "é", "A", "-", "a\\b", ".a", "a.log",
		strings.Repeat("x", 255), strings.Repeat("x", 254) + "y", strings.Repeat("é", 300),
	}
	seen := map[string]string{}
	for _, name := range names {
		e := output.Escape(name)
		require.True(t, filepath.IsLocal(e), name)
		require.Equal(t, filepath.Base(e), e)
		require.False(t, strings.HasPrefix(e, "."), name)
		require.NotContains(t, e, "@")
		require.LessOrEqual(t, len(e), 110)
		require.NotContains(t, seen, e)
		seen[e] = name
		if len(name) < 30 {
			require.Equal(t, name, output.Unescape(e))
		}
	}
	s := open(t, t.TempDir(), output.Config{})
	paths := map[string]bool{}
	for _, name := range names {
		for _, id := range []rollout.RevisionID{
			{Service: rollout.ServiceID{Env: name, Name: "x"}, Version: name, Run: name},
			{Service: rollout.ServiceID{Name: name}, Version: name, Run: "x"},
		} {
			l := s.Start(id, "", name)
			require.True(t, strings.HasPrefix(l.Path(), output.RevisionsFolder+"/"))
			require.Len(t, strings.Split(l.Path(), "/"), 4)
			require.FileExists(t, s.path(l), "%q", name)
			require.False(t, paths[l.Path()], name)
			paths[l.Path()] = true
			require.NoError(t, l.Close())
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("a/b", "a%2Fb")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := output.Escape(a), output.Escape(b)
		require.Equal(t, a == b, x == y)
		require.True(t, filepath.IsLocal(x) && x == filepath.Base(x) && len(x) <= 110 && x[0] != '.')
		if len(a) < 30 {
			require.Equal(t, a, output.Unescape(x))
		}
	})
}

func TestWithoutAFileTheLogSaysWhatIsLost(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, output.RevisionsFolder), nil, 0o600))
	l := s.start("r-1")
	require.Equal(t, os.DevNull, l.File().Name())
	write(t, l, "lost\n")
	l.Note("noted")
	s.Tidy()
	for _, said := range []string{l.End(), s.read(rollout.LogQuery{})} {
		require.Contains(t, said, "upkeep: noted\n")
		require.Contains(t, said, "upkeep: what is printed is lost: ")
		require.Contains(t, said, "not a directory")
	}
	require.NoError(t, os.Remove(filepath.Join(s.dir, output.RevisionsFolder)))
	s.Tidy()
	text := s.read(rollout.LogQuery{})
	require.True(t, strings.HasPrefix(text, "upkeep: noted\nupkeep: what is printed until the replica is started anew is lost: "), text)
	write(t, l, "kept\n")
	require.Equal(t, text+"kept\n", s.read(rollout.LogQuery{}))
}

func TestPruneKeepsTheNewestAndWhatIsOpen(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 4})
	require.NoError(t, s.Prune(1))
	var logs []*output.Log
	for _, run := range []string{"a", "b", "c", "d"} {
		id := web
		id.Run = run
		l := s.Start(id, "", "r-1")
		write(t, l, run+"\n")
		logs = append(logs, l)
	}
	other := s.Start(rollout.RevisionID{Service: rollout.ServiceID{Name: "other"}}, "", "r-1")
	require.NoError(t, other.Close())
	own := s.Start(web, "own", "r-1")
	require.NoError(t, own.Close())
	for i, l := range logs {
		if i != 1 {
			require.NoError(t, l.Close())
		}
		at := time0.AddDate(0, 0, -i)
		require.NoError(t, os.Chtimes(s.folder(l), at, at))
	}
	require.NoError(t, os.WriteFile(s.path(logs[0]), []byte(lines(0, 5000)), 0o600))
	require.NoError(t, s.Prune(2))
	require.DirExists(t, s.folder(logs[0]))
	require.FileExists(t, s.path(logs[1]), "is open")
	require.FileExists(t, s.path(logs[2]))
	require.NoDirExists(t, s.folder(logs[3]))
	require.FileExists(t, s.path(own), "is no default folder")
	require.FileExists(t, s.path(other), "is of another service")
	require.LessOrEqual(t, size(t, s.folder(logs[0])), int64(4000), "grew while there was no Keeper")
	require.NotZero(t, size(t, s.folder(logs[0])))
	require.NoError(t, logs[1].Close())
	require.NoError(t, s.Prune(0))
	require.Empty(t, s.read(rollout.LogQuery{}))
	require.NoDirExists(t, filepath.Dir(s.folder(logs[0])))
}
