package step_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// volume makes a folder with a photo.
func volume(t *testing.T) (dir, photo string) {
	dir = filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.Mkdir(dir, 0o755))
	photo = filepath.Join(dir, "photo")
	require.NoError(t, os.WriteFile(photo, nil, 0o600))
	return dir, photo
}

func TestClearDirNeverEmptiesWhatIsMountedInIt(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		vol, photo := volume(t)
		for _, name := range []string{"cache", "cache/uploads", "cache/a b/uploads"} {
			t.Run(name, func(t *testing.T) {
				home := t.TempDir()
				cache, point := filepath.Join(home, "cache"), filepath.Join(home, name)
				require.NoError(t, os.MkdirAll(point, 0o755))
				s := step.ClearDir(cache)
				require.NoError(t, s.Check(t.Context(), task("one", "1.0.0")))
				mounttest.Bind(t, vol, point)
				for _, f := range []func(context.Context, *update.Task) error{s.Check, s.Do, s.Undo} {
					require.ErrorContains(t, f(t.Context(), task("one", "1.0.0")), "mounted")
					require.FileExists(t, photo)
				}
			})
		}
	})
}

func TestPublishFilesNeverTakesAVolumeAlong(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		vol, photo := volume(t)
		for _, name := range []string{"uploads", "a/b c/uploads", "index.html", ""} {
			for _, keep := range []string{"uploads", "other"} {
				t.Run(name+" "+keep, func(t *testing.T) {
					s := newSite(t)
					s.Keep = []string{keep}
					point := filepath.Join(s.dir, name)
					if name == "index.html" {
						s.publish(t, "zero", "1.0.0")
						mounttest.Bind(t, photo, point)
					} else {
						require.NoError(t, os.MkdirAll(point, 0o755))
						mounttest.Bind(t, vol, point)
					}
					s.Replace = true
					tk, _ := heard("one", "1.1.0")
					require.ErrorContains(t, s.step().Check(t.Context(), tk), "mounted")
					require.ErrorContains(t, s.step().Do(t.Context(), tk), "mounted")
					require.NoError(t, s.step().Undo(t.Context(), tk))
					require.FileExists(t, photo)
				})
			}
		}
	})
}

func TestPublishFilesGivesBackAVolumeThatWasMountedDuringTheSwitch(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
			vol, photo := volume(t)
			s := newSite(t)
			s.Replace = true
			s.publish(t, "zero", "1.0.0")
			tk, _ := heard("one", "1.1.0")
			mount := true
			p := step.PublishBy(func(a, b string) error {
				if mount {
					mounttest.Bind(t, vol, filepath.Join(s.dir, "about"))
				}
				mount = false
				return exchange(a, b)
			}, s.Publish)
			for range 2 {
				require.ErrorContains(t, p.Do(t.Context(), tk), "mounted during the switch")
				require.FileExists(t, photo)
			}
			require.NoError(t, p.Undo(t.Context(), tk))
			require.Equal(t, map[string]string{"index.html": "one", "about/photo": ""}, tree(t, s.dir))
			require.FileExists(t, photo)
		})
	})
}

func TestPublishFilesNeverRemovesAVolumeInATreeThatWasReplaced(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		vol, photo := volume(t)
		s := newSite(t)
		s.Replace = true
		s.publish(t, "zero", "1.0.0")
		s.publish(t, "one", "1.1.0")
		mounttest.Bind(t, vol, filepath.Join(s.beside(t, "*.old")[0], "about"))
		tk, _ := heard("two", "1.0.0")
		require.ErrorContains(t, s.step().Check(t.Context(), tk), "mounted", "somebody should know")
		said := ""
		for _, id := range []string{"two", "three"} {
			tk, out := heard(id, "1.0.0")
			require.NoError(t, s.step().Do(t.Context(), tk))
			require.FileExists(t, photo)
			said += out.String()
		}
		require.Contains(t, said, "mounted")
		require.Len(t, s.beside(t, "*/about/photo"), 1)
	})
}

func TestPublishFilesRefusesAMountBesideTheFolder(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		vol, photo := volume(t)
		s := newSite(t)
		beside := filepath.Join(filepath.Dir(s.dir), ".site.upkeep")
		require.NoError(t, os.Mkdir(beside, 0o700))
		mounttest.Bind(t, vol, beside)
		require.ErrorContains(t, s.step().Check(t.Context(), task("one", "1.0.0")), "mounted")
		require.FileExists(t, photo)
	})
}

// container makes a file system as that of a container whose image has a site.
func container(t *testing.T) *webSite {
	home := t.TempDir()
	mounttest.Mount(t, "none", home, "tmpfs", 0, "")
	for _, name := range []string{"image", "upper", "work", "root"} {
		require.NoError(t, os.Mkdir(filepath.Join(home, name), 0o755))
	}
	put(t, "image", home, "image/site/index.html")
	put(t, "image", home, "image/site/a/b/deep.html")
	put(t, "image", home, "image/site/uploads/one.jpg")
	require.NoError(t, os.Symlink("index.html", filepath.Join(home, "image/site/link")))
	require.NoError(t, os.Chmod(filepath.Join(home, "image/site/a"), 0o711))
	root := filepath.Join(home, "root")
	mounttest.Overlay(t, filepath.Join(home, "image"), filepath.Join(home, "upper"), filepath.Join(home, "work"), root)
	dir := filepath.Join(root, "site")
	return &webSite{dir: dir, Publish: step.Publish{Files: pagesOf, Dir: dir, Keep: []string{"uploads"}, Replace: true}}
}

// modes looks at those of the folders of a container's site.
func modes(t *testing.T, dir string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{"": 0o755, "a": 0o711, "a/b": 0o755, "uploads": 0o755} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|mode, info.Mode(), name)
	}
}

func TestPublishFilesTakesOverAFolderOfAContainersImage(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
			s := container(t)
			p := step.PublishBy(exchange, s.Publish)
			before := tree(t, s.dir)
			want := func(version string) map[string]string {
				return with(published(t, version), map[string]string{"uploads/one.jpg": "image"})
			}
			for _, id := range []string{"one", "two"} {
				tk, _ := heard(id, "1.0.0")
				require.NoError(t, p.Check(t.Context(), tk))
				require.Equal(t, before, tree(t, s.dir))
				require.NoError(t, p.Do(t.Context(), tk))
				require.Equal(t, want("1.0.0"), tree(t, s.dir))
				require.NoError(t, p.Undo(t.Context(), tk))
				require.Equal(t, before, tree(t, s.dir))
				modes(t, s.dir)
			}
			for _, version := range []string{"1.0.0", "1.1.0", "1.2.0-rc.1"} {
				s.publish(t, version, version)
				require.Equal(t, want(version), tree(t, s.dir))
			}
		})
	})
}

func TestPublishFilesLosesNothingOfAnImageWhereverItIsKilled(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
			for n, done := 1, false; !done; n++ {
				for _, finish := range []string{"do", "undo"} {
					s := container(t)
					before := tree(t, s.dir)
					tk, _ := heard("one", "1.0.0")
					w := (&tripwire{n: n, before: exchange}).step(s.Publish)
					err := w.Do(t.Context(), tk)
					undoing := err == nil
					if undoing {
						err = w.Undo(t.Context(), tk)
						done = err == nil
					}
					if done {
						break
					}
					require.ErrorIs(t, err, errCrash)
					p := step.PublishBy(exchange, s.Publish)
					if finish == "do" && !undoing {
						require.NoError(t, p.Do(t.Context(), tk))
						require.Equal(t, with(published(t, "1.0.0"), map[string]string{"uploads/one.jpg": "image"}), tree(t, s.dir))
					}
					for range 2 {
						require.NoError(t, p.Undo(t.Context(), tk))
						require.Equal(t, before, tree(t, s.dir), "at effect %d, then %s", n, finish)
						modes(t, s.dir)
					}
				}
				require.Less(t, n, 100)
			}
		})
	})
}

func TestPublishFilesRemovesOthersThanTheTreeThatCannotBeRemoved(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		vol, photo := volume(t)
		s := newSite(t)
		s.publish(t, "0", "1.0.0")
		s.publish(t, "1", "1.1.0")
		stuck := s.beside(t, "*.old")
		require.Len(t, stuck, 1)
		mounttest.Bind(t, vol, filepath.Join(stuck[0], "about"))
		for i := range 8 {
			tk, out := heard(fmt.Sprint(i+2), []string{"1.0.0", "1.1.0"}[i%2])
			require.NoError(t, s.step().Do(t.Context(), tk))
			require.Equal(t, i > 0, strings.Contains(out.String(), "mounted"))
		}
		require.Len(t, s.beside(t, "*.old"), 3)
		require.FileExists(t, photo)
	})
}
