package output_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAFullLogIsRotatedAndTheProcessGoesOn(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 4})
	l := s.start("r-1")
	write(t, l, lines(0, 100))
	s.Tidy()
	require.Equal(t, []string{"r-1.log"}, files(t, s.folder(l)), "it is not above its limit")
	write(t, l, lines(100, 101))
	s.Tidy()
	require.Equal(t, []string{"r-1.log", "r-1@1.log", "r-1@2.log"}, files(t, s.folder(l)), "of 1000 bytes at most")
	write(t, l, lines(101, 110))
	live, err := os.ReadFile(s.path(l))
	require.NoError(t, err)
	require.Equal(t, lines(101, 110), printed(string(live)))
	require.Equal(t, lines(0, 110), printed(s.read(rollout.LogQuery{})))
}

func TestAllFilesOfARevisionStayWithinTheirBound(t *testing.T) {
	for _, replicas := range []int{1, 2, 4, 8, 40} {
		for _, c := range []output.Config{{Size: 4000, Files: 5}, {Size: 4000, Files: 1}, {Size: 100, Files: 1}, {Size: 1 << 20, Files: 3}} {
			s := open(t, t.TempDir(), c)
			bound := c.Size * int64(c.Files)
			var logs []*output.Log
			for i := range replicas {
				logs = append(logs, s.start(fmt.Sprint("r-", i)))
			}
			ended := s.start("ended")
			write(t, ended, lines(0, 200))
			require.NoError(t, ended.Close())
			for round := range 12 {
				for i, l := range logs {
					write(t, l, lines(round*100, round*100+30*(1+i%3)*(1+round%4)))
					if round == 7 && i == 0 {
						write(t, l, strings.Repeat(lines(0, 100), 4*int(bound)/1000))
					}
				}
				s.Tidy()
				require.LessOrEqual(t, size(t, s.dir), bound, "%d replicas, %+v, round %d", replicas, c, round)
			}
			if bound/int64(replicas) > 2000 {
				require.Greater(t, size(t, s.dir), bound/5, "no more is lost than need be")
				require.Contains(t, s.read(rollout.LogQuery{Tail: 100_000}), "bytes of the output are lost: ")
			}
		}
	}
}

func TestTheOldestGoesFirst(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 3})
	quiet, loud := s.start("quiet"), s.start("loud")
	write(t, quiet, lines(0, 5))
	for i := 0; i < 1000; i += 80 {
		write(t, loud, lines(i, i+80))
		s.Tidy()
	}
	text := s.read(rollout.LogQuery{Tail: 100_000})
	require.Contains(t, text, "quiet | line 0004", "what is printed to is deleted last")
	require.Contains(t, text, "loud | line 1039")
	require.NotContains(t, text, "loud | line 0079")
	require.Contains(t, text, " bytes of the output are lost: the oldest was deleted to make room")
}

func TestTheOldestOfAllReplicasGoesFirst(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 9})
	old, young := s.start("a-old"), s.start("young")
	write(t, young, lines(0, 110))
	s.Tidy()
	write(t, old, lines(0, 110))
	s.Tidy()
	for i := 200; i < 800; i += 110 {
		write(t, young, lines(i, i+110))
		s.Tidy()
	}
	text := s.read(rollout.LogQuery{Tail: 100_000})
	require.NotContains(t, text, "young | line 0000")
	require.NotContains(t, text, "a-old | line 0000")
	require.Contains(t, text, "young | line 0700")
	require.Contains(t, text, "young | line 0600")
}

func TestADeletedLogComesBackWithAllThatWasInIt(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 10})
	for name, replace := range map[string]func(t *testing.T, path string){
		"deleted":     func(*testing.T, string) {},
		"all of it":   func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(filepath.Dir(path))) },
		"replaced":    func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("edited\n"), 0o600)) },
		"by a folder": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
		"by a link": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "secret"), []byte("secret"), 0o600))
			require.NoError(t, os.Symlink(filepath.Join("..", "..", "..", "secret"), path))
		},
		"by a link to nothing": func(t *testing.T, path string) {
			require.NoError(t, os.Symlink(filepath.Join("..", "..", "..", "nothing"), path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := web
			id.Run = name
			l := s.Start(id, "", "r-1")
			defer l.Close()
			write(t, l, lines(0, 10))
			require.NoError(t, os.Remove(s.path(l)))
			replace(t, s.path(l))
			write(t, l, lines(10, 20))
			s.Tidy()
			write(t, l, lines(20, 30))
			require.Contains(t, l.End(), lines(20, 30), "not carried over yet")
			s.Tidy()
			text := s.readOf(id, "", rollout.LogQuery{})
			require.Equal(t, lines(0, 30), printed(text))
			require.Contains(t, text, "upkeep: the log was deleted or replaced")
			info, err := l.File().Stat()
			require.NoError(t, err)
			require.LessOrEqual(t, info.Size(), int64(500), "the deleted file takes little room")
			there, err := os.Lstat(s.path(l))
			require.NoError(t, err)
			require.True(t, there.Mode().IsRegular())

			require.NoError(t, os.Remove(s.path(l))) // once more
			write(t, l, lines(30, 230))
			s.Tidy()
			require.LessOrEqual(t, size(t, s.folder(l)), int64(10_000))
			info, err = l.File().Stat()
			require.NoError(t, err)
			require.LessOrEqual(t, info.Size(), int64(500))
			text = s.readOf(id, "", rollout.LogQuery{})
			require.True(t, strings.HasSuffix(printed(text), lines(130, 230)), text)
			require.Contains(t, text, " bytes of the output are lost: more was printed than is kept")
		})
	}
	secret, err := os.ReadFile(filepath.Join(s.dir, "secret"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(secret))
	require.NoFileExists(t, filepath.Join(s.dir, "nothing"))
}

func TestALinkIsNotFollowed(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 4})
	l := s.start("r-1")
	require.NoError(t, l.Close())
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("secret\n"), 0o600))
	inside := filepath.Join(s.dir, "inside")
	require.NoError(t, os.WriteFile(inside, []byte("secret\n"), 0o600))
	for _, to := range []string{outside, inside, "../../../inside", "../../../nothing"} {
		require.NoError(t, os.Remove(s.path(l)))
		require.NoError(t, os.Symlink(to, s.path(l)))
		for _, number := range []int{1, 2} {
			_ = os.Symlink(to, strings.Replace(s.path(l), ".log", fmt.Sprintf("@%d.log", number), 1))
			_ = os.Symlink(to, strings.Replace(s.path(l), ".log", fmt.Sprintf("@%d@0.part", number), 1))
		}
		require.NotContains(t, open(t, s.dir, output.Config{}).read(rollout.LogQuery{}), "secret")
		l = s.start("r-1")
		write(t, l, lines(0, 300))
		s.Tidy()
		require.NotContains(t, s.read(rollout.LogQuery{}), "secret")
		require.NoError(t, l.Close())
	}
	for _, name := range []string{outside, inside} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "secret\n", string(text))
	}
	require.NoFileExists(t, filepath.Join(s.dir, "nothing"))
	above := open(t, t.TempDir(), output.Config{})
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(above.dir, output.RevisionsFolder)))
	escaped := above.start("r-1")
	require.Equal(t, os.DevNull, escaped.File().Name())
	require.Equal(t, []string{"outside"}, files(t, filepath.Dir(outside)))
}

func TestAnAdoptedLogGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		between func(t *testing.T, path string)
		want    string
	}{
		{"as it was", func(*testing.T, string) {}, lines(0, 30)},
		{"deleted", func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, lines(0, 30)},
		{"all of it", func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(filepath.Dir(path))) }, lines(0, 30)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, output.Config{Size: 1000, Files: 4})
			before := s.start("r-1")
			running := reopen(t, before.File())
			write(t, before, lines(0, 10))
			tt.between(t, s.path(before))
			next := open(t, dir, output.Config{Size: 1000, Files: 4})
			l := next.Adopt(web, "", "r-1", running)
			defer l.Close()
			write(t, before, lines(10, 20))
			require.Contains(t, l.End(), lines(10, 20))
			next.Tidy()
			write(t, before, lines(20, 30))
			next.Tidy()
			l.Note("noted")
			require.Equal(t, tt.want, printed(next.read(rollout.LogQuery{})))
			require.Contains(t, next.read(rollout.LogQuery{}), "\nupkeep: noted\n")
		})
	}
}

// reopen opens a file as it is opened from /proc.
func reopen(t *testing.T, f *os.File) *os.File {
	t.Helper()
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR|os.O_APPEND, 0)
	require.NoError(t, err)
	return again
}

func TestALogIsAdoptedThoughNobodyKnowsItsFile(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	before := s.start("r-1")
	write(t, before, "one\n")
	next := open(t, s.dir, output.Config{})
	l := next.Adopt(web, "", "r-1", nil)
	defer l.Close()
	write(t, before, "two\n")
	require.Equal(t, "one\ntwo\n", l.End())

	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	deaf := next.Adopt(web, "", "r-2", null)
	defer deaf.Close()
	next.Tidy()
	require.Contains(t, deaf.End(), "upkeep: what is printed until the replica is started anew is lost")
	write(t, deaf, "anew\n")
	require.Contains(t, deaf.End(), "anew\n")
}

func TestARotationThatWasKilledHasEveryLineOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		log   string
		parts map[string]string
		want  string
	}{
		"begun":                {lines(0, 100), map[string]string{"r-1@1@0.part": lines(0, 40)}, lines(0, 100)},
		"created":              {lines(0, 100), map[string]string{"r-1@1@0.part": ""}, lines(0, 100)},
		"copied":               {lines(0, 100), map[string]string{"r-1@1@0.part": lines(0, 50), "r-1@2@500.part": lines(50, 100)}, lines(0, 100)},
		"copied and printed":   {lines(0, 120), map[string]string{"r-1@1@0.part": lines(0, 100)}, lines(0, 120)},
		"cut":                  {"", map[string]string{"r-1@1@0.part": lines(0, 50), "r-1@2@500.part": lines(50, 100)}, lines(0, 100)},
		"cut and printed":      {lines(100, 130), map[string]string{"r-1@1@0.part": lines(0, 50), "r-1@2@500.part": lines(50, 100)}, lines(0, 130)},
		"cut and half named":   {lines(100, 130), map[string]string{"r-1@1.log": lines(0, 50), "r-1@2@500.part": lines(50, 100)}, lines(0, 130)},
		"cut and much printed": {lines(100, 300), map[string]string{"r-1@1@0.part": lines(0, 100)}, lines(0, 300)},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 10})
			l := s.start("r-1")
			require.NoError(t, l.Close())
			require.NoError(t, os.WriteFile(s.path(l), []byte(tt.log), 0o600))
			for name, text := range tt.parts {
				require.NoError(t, os.WriteFile(filepath.Join(s.folder(l), name), []byte(text), 0o600))
			}
			next := open(t, s.dir, output.Config{Size: 1000, Files: 10})
			l = next.Adopt(web, "", "r-1", nil)
			defer l.Close()
			require.Equal(t, tt.want, printed(next.read(rollout.LogQuery{})))
			next.Tidy()
			require.Equal(t, tt.want, printed(next.read(rollout.LogQuery{})))
			require.False(t, slices.ContainsFunc(files(t, s.folder(l)), func(name string) bool { return strings.HasSuffix(name, ".part") }))
		})
	}
}

func TestAFolderThatIsNoneHoldsNobodyUp(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 2})
	l := s.start("r-1")
	write(t, l, lines(0, 10))
	folder := s.folder(l)
	require.NoError(t, os.Rename(folder, folder+".away"))
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	s.Tidy()
	require.Equal(t, lines(0, 10), l.End(), "what is there stays")
	for range 5 {
		write(t, l, lines(0, 250))
		s.Tidy()
		info, err := l.File().Stat()
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(1000), "no disk is eaten unseen")
	}
	require.Contains(t, l.End(), " bytes of the output are lost: ")
	require.NoError(t, os.Remove(folder))
	write(t, l, lines(250, 260))
	s.Tidy()
	write(t, l, lines(260, 270))
	s.Tidy()
	text := s.read(rollout.LogQuery{})
	require.Equal(t, lines(250, 270), printed(text))
	require.Contains(t, text, " bytes of the output are lost: ")
	require.Contains(t, text, "not a directory")
}
