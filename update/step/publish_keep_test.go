package step_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// shop are releases that bring something at the paths that live on.
var shop = step.Sub(files(map[string]string{
	"1.0.0/index.html":              "one",
	"1.0.0/config/app.php":          "one",
	"1.0.0/config/db.local.php":     "default one",
	"1.0.0/config/mail.local.php":   "default one",
	"1.0.0/uploads/.gitkeep":        "",
	"1.1.0/index.html":              "two",
	"1.1.0/config/app.php":          "two",
	"1.1.0/config/db.local.php":     "default two",
	"1.1.0/config/mail.local.php":   "default two",
	"1.1.0/uploads/.gitkeep":        "",
	"1.1.0/media/logo.png":          "of the release",
	"1.2.0-rc.1/index.html":         "three",
	"1.2.0-rc.1/uploads/readme.txt": "three",
}), "{version}")

// newShop is a site of shop whose users have put things into it.
func newShop(t *testing.T) *webSite {
	s := newSite(t)
	s.Files = shop
	s.Keep = []string{"uploads", "media", "config/*.local.php", "data/cache", "*/extra-[0-9]"}
	s.publish(t, "zero", "1.0.0")
	put(t, "photo", s.dir, "uploads/2026/photo.jpg")
	put(t, "strange", s.dir, "uploads/a\xff\nb")
	put(t, "secret", s.dir, "config/db.local.php")
	put(t, "own", s.dir, "config/own.local.php")
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "data/cache"), 0o750))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(s.dir, "media")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(s.dir, "uploads", "dead")))
	return s
}

// living is what users have put there.
func living(t *testing.T, s *webSite) map[string]string {
	link, err := os.Readlink(filepath.Join(s.dir, "media"))
	require.NoError(t, err)
	return map[string]string{
		"uploads/2026/photo.jpg": "photo", "uploads/a\xff\nb": "strange", "uploads/dead": "-> nowhere", "config/db.local.php": "secret",
		"config/own.local.php": "own", "media": "-> " + link,
	}
}

func with(a map[string]string, more ...map[string]string) map[string]string {
	a = maps.Clone(a)
	for _, m := range more {
		maps.Copy(a, m)
	}
	return a
}

func TestPublishFilesKeepsWhatLivesOnAcrossReleases(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newShop(t)
		kept := living(t, s)
		photo, err := os.Stat(filepath.Join(s.dir, "uploads/2026/photo.jpg"))
		require.NoError(t, err)
		of := map[string]map[string]string{
			"1.0.0": with(kept, map[string]string{
				"index.html": "one", "config/app.php": "one", "config/mail.local.php": "default one", "uploads/.gitkeep": "",
			}),
			"1.1.0": with(kept, map[string]string{
				"index.html": "two", "config/app.php": "two", "config/mail.local.php": "default two", "uploads/.gitkeep": "",
			}),
			"1.2.0-rc.1": with(kept, map[string]string{"index.html": "three", "uploads/.gitkeep": ""}),
		}
		require.Equal(t, of["1.0.0"], tree(t, s.dir))
		step := step.PublishBy(exchange, s.Publish)
		for i, version := range []string{"1.1.0", "1.2.0-rc.1", "1.1.0", "1.0.0", "1.2.0-rc.1", "1.0.0"} {
			before := tree(t, s.dir)
			tk, _ := heard(fmt.Sprint("try", i), version)
			require.NoError(t, step.Check(t.Context(), tk))
			require.NoError(t, step.Do(t.Context(), tk))
			require.Equal(t, of[version], tree(t, s.dir))
			require.DirExists(t, filepath.Join(s.dir, "data/cache"))
			for range 2 {
				require.NoError(t, step.Undo(t.Context(), tk))
				require.Equal(t, before, tree(t, s.dir))
			}
			require.DirExists(t, filepath.Join(s.dir, "data/cache"))
			tk, out := heard(fmt.Sprint("run", i), version)
			require.NoError(t, step.Do(t.Context(), tk))
			require.Equal(t, of[version], tree(t, s.dir))
			require.NotContains(t, out.String(), "no release has put there")
		}
		require.Empty(t, s.beside(t, "*.kept"))
		now, err := os.Stat(filepath.Join(s.dir, "uploads/2026/photo.jpg"))
		require.NoError(t, err)
		require.True(t, os.SameFile(photo, now) && photo.ModTime().Equal(now.ModTime()), "it was moved, not copied")
	})
}

func TestPublishFilesCarriesBackWhatCameMeanwhile(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newShop(t)
		tk, _ := heard("one", "1.1.0")
		p := step.PublishBy(exchange, s.Publish)
		require.NoError(t, p.Do(t.Context(), tk))
		put(t, "new", s.dir, "uploads/new.jpg")
		put(t, "edited", s.dir, "config/db.local.php")
		put(t, "edited", s.dir, "config/mail.local.php")
		put(t, "extra", s.dir, "fresh/extra-1")
		require.NoError(t, os.Remove(filepath.Join(s.dir, "config/own.local.php")))
		require.NoError(t, p.Undo(t.Context(), tk))
		got := tree(t, s.dir)
		require.Equal(t, "new", got["uploads/new.jpg"])
		require.Equal(t, "edited", got["config/db.local.php"])
		require.Equal(t, "edited", got["config/mail.local.php"])
		require.Equal(t, "extra", got["fresh/extra-1"])
		require.NotContains(t, got, "config/own.local.php")
		require.Equal(t, "one", got["config/app.php"])
	})
}

func TestPublishFilesSaysWhenTheReleaseHadSomethingThere(t *testing.T) {
	s := newShop(t)
	_, out := s.publish(t, "one", "1.1.0")
	require.Contains(t, out.String(), `"media" stays as it is`)
	require.Contains(t, out.String(), `"config/db.local.php" stays as it is`)
	require.NotContains(t, out.String(), "mail.local.php")
}

func TestPublishFilesGoesBackToNothingAndKeepsWhatLivesOn(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newSite(t)
		s.Keep = []string{"uploads"}
		p := step.PublishBy(exchange, s.Publish)
		tk, _ := heard("one", "1.0.0")
		require.NoError(t, p.Do(t.Context(), tk))
		put(t, "photo", s.dir, "uploads/photo.jpg")
		for range 2 {
			require.NoError(t, p.Undo(t.Context(), tk))
			require.Equal(t, map[string]string{"uploads/photo.jpg": "photo"}, tree(t, s.dir))
		}
		s.publish(t, "two", "1.0.0")
		require.Equal(t, with(published(t, "1.0.0"), map[string]string{"uploads/photo.jpg": "photo"}), tree(t, s.dir))
	})
}

func TestPublishFilesRefusesAKeepThatCannotBe(t *testing.T) {
	s := newShop(t)
	for keep, says := range map[string]string{
		"":              `""`,
		".":             `"."`,
		"..":            `".."`,
		"../other":      `"../other"`,
		"a/../../other": `"a/../../other"`,
		"/etc":          `"/etc"`,
		"uploads/":      `"uploads/"`,
		"a//b":          `"a//b"`,
		"./a":           `"./a"`,
		"a/[":           "syntax error",
		"[a/b]c":        "syntax error",
	} {
		s.Keep = []string{"uploads", keep}
		require.ErrorContains(t, s.step().Check(t.Context(), task("one", "1.1.0")), says, keep)
	}
}

func TestPublishFilesRefusesAReleaseThatHasAFileAroundWhatLivesOn(t *testing.T) {
	s := newShop(t)
	s.Files = step.Sub(files(map[string]string{"1.1.0/config": "a file"}), "{version}")
	require.ErrorContains(t, s.step().Check(t.Context(), task("one", "1.1.0")), `"config" is a file in the release`)
}

func TestPublishFilesNeverFollowsALinkToWhatLivesOn(t *testing.T) {
	s := newSite(t)
	outside := t.TempDir()
	photo := put(t, "photo", outside, "uploads/photo.jpg")
	s.publish(t, "zero", "1.0.0")
	require.NoError(t, os.Symlink(outside, filepath.Join(s.dir, "shared")))
	s.Keep = []string{"shared/uploads"}
	require.ErrorIs(t, s.step().Check(t.Context(), task("one", "1.1.0")), step.ErrForeign, "the link itself is not kept")
	s.Keep = []string{"shared/uploads", "shared"}
	tk, _ := s.publish(t, "two", "1.1.0")
	require.Equal(t, "-> "+outside, tree(t, s.dir)["shared"])
	require.NoError(t, s.step().Undo(t.Context(), tk))
	require.Equal(t, "-> "+outside, tree(t, s.dir)["shared"])
	require.FileExists(t, photo)
}

func TestPublishFilesKeepsWhatSeveralPatternsNameOnce(t *testing.T) {
	s := newSite(t)
	s.Keep = []string{"up/*", "up", "up/a/*", "up-old/*", "*-old", "up.d/a"}
	s.publish(t, "zero", "1.0.0")
	photos := map[string]string{"up/a/1": "1", "up/2": "2", "up-old/3": "3", "up-old/a/4": "4", "up.d/a/5": "5"}
	for name, text := range photos {
		put(t, text, s.dir, name)
	}
	tk, _ := s.publish(t, "one", "1.1.0")
	require.Equal(t, with(published(t, "1.1.0"), photos), tree(t, s.dir))
	require.NoError(t, s.step().Undo(t.Context(), tk))
	require.Equal(t, with(published(t, "1.0.0"), photos), tree(t, s.dir))
}

func TestPublishFilesKeepsByTheProgramThatSwitches(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	kept := map[string]string{"config.php": "secret", "uploads/photo": "photo"}
	for name, text := range kept {
		put(t, text, s.dir, name)
	}
	tk, _ := heard("one", "1.1.0")
	s.Keep = []string{"uploads"}
	require.ErrorIs(t, s.step().Do(t.Context(), tk), step.ErrForeign, "the new tree is written by now")
	s.Keep = []string{"uploads", "config.php"} // of the program that takes the run over
	require.NoError(t, s.step().Do(t.Context(), tk))
	require.Equal(t, with(published(t, "1.1.0"), kept), tree(t, s.dir))
}

func TestPublishFilesStaysInTheFolderWhereARunBegan(t *testing.T) {
	s := newSite(t)
	t.Chdir(filepath.Dir(s.dir))
	s.Dir = "site" // a path that somebody else may read otherwise
	began := s.step()
	t.Chdir(t.TempDir())
	tk, _ := heard("one", "1.0.0")
	require.NoError(t, began.Do(t.Context(), tk))
	require.Equal(t, published(t, "1.0.0"), tree(t, s.dir))

	s.Dir = filepath.Join(t.TempDir(), "elsewhere") // in the program that takes the run over
	applied, err := s.step().Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedYes, applied)
	require.NoError(t, s.step().Do(t.Context(), tk))
	require.NoDirExists(t, s.Dir)
	require.NoError(t, s.step().Undo(t.Context(), tk))
	require.NoDirExists(t, s.dir)
}

func TestPublishFilesFindsOutBeforehandThatItCannotKnowWhatLivesOn(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	put(t, "photo", s.dir, "uploads/photo")
	list := s.beside(t, "*.json")[0]
	require.NoError(t, os.WriteFile(list, []byte("{"), 0o600))
	for _, s.Replace = range []bool{false, true} {
		s.Keep = []string{"uploads"}
		tk, _ := heard("one", "1.1.0")
		require.ErrorContains(t, s.step().Check(t.Context(), tk), list)
		require.ErrorContains(t, s.step().Do(t.Context(), tk), list)
		require.NoError(t, s.step().Undo(t.Context(), tk))
	}
	before := tree(t, s.dir)
	s.Keep = nil
	tk, _ := heard("two", "1.1.0")
	require.NoError(t, s.step().Check(t.Context(), tk), "all may go")
	require.NoError(t, s.step().Do(t.Context(), tk))
	require.Equal(t, published(t, "1.1.0"), tree(t, s.dir))
	s.Keep = []string{"uploads"}
	require.NoError(t, s.step().Undo(t.Context(), tk), "going back does not need it")
	require.Equal(t, before, tree(t, s.dir))
	require.NoError(t, os.Remove(list))
	s.Keep = nil
	s.Replace = false
	require.ErrorIs(t, s.step().Check(t.Context(), task("one", "1.1.0")), step.ErrForeign)
}

func TestPublishFilesKeepsTheEmptyFolderOfWhatIsToLiveOn(t *testing.T) {
	s := newSite(t)
	s.Keep = []string{"uploads/*", "data/*/cache/*", "about/*.jpg", "index.html/*"}
	s.publish(t, "zero", "1.0.0")
	folders := map[string]os.FileMode{"uploads": 0o770, "data": 0o750, "data/a": 0o755, "data/a/cache": 0o711}
	for _, name := range []string{"uploads", "data", "data/a", "data/a/cache"} {
		require.NoError(t, os.Mkdir(filepath.Join(s.dir, name), 0o700))
		require.NoError(t, os.Chmod(filepath.Join(s.dir, name), folders[name]))
	}
	there := func() {
		for name, mode := range folders {
			info, err := os.Lstat(filepath.Join(s.dir, name))
			require.NoError(t, err)
			require.Equal(t, os.ModeDir|mode, info.Mode(), name)
		}
	}
	tk, out := s.publish(t, "one", "1.1.0")
	there()
	require.Empty(t, out.String())
	require.NoDirExists(t, filepath.Join(s.dir, "about"), "a release had made it")
	require.NoError(t, s.step().Undo(t.Context(), tk))
	there()
	s.publish(t, "two", "1.0.0")
	there()
}
