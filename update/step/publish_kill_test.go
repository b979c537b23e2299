//go:build unix

package step_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// tripwire is a way to exchange and to rename that dies at the n-th effect,
// before it or after it.
type tripwire struct {
	n      int
	after  bool
	before func(a, b string) error // exchange
}

func (w *tripwire) around(f func(a, b string) error) func(a, b string) error {
	return func(a, b string) error {
		w.n--
		switch {
		case w.n < 0, w.n == 0 && !w.after:
			return errCrash
		case w.n == 0:
			return errors.Join(f(a, b), errCrash)
		}
		return f(a, b)
	}
}

func (w *tripwire) step(p step.Publish) update.Step {
	return step.PublishOn(w.around(w.before), w.around(step.Rename), p)
}

func TestPublishFilesLosesNothingWhereverItIsKilled(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newShop(t)
		before := tree(t, s.dir)
		tk, _ := heard("count", "1.1.0")
		count := &tripwire{n: 1000, before: exchange}
		require.NoError(t, count.step(s.Publish).Do(t.Context(), tk))
		after := tree(t, s.dir)
		does := 1000 - count.n
		require.NoError(t, count.step(s.Publish).Undo(t.Context(), tk))
		undoes := 1000 - count.n - does
		require.Greater(t, does, 8)
		require.Greater(t, undoes, 5)
		delete(before, "media") // a link to another folder each time
		delete(after, "media")

		for n := 1; n <= does+undoes; n++ {
			for _, late := range []bool{false, true}[:often(1, 2)] {
				for _, finish := range []string{"do", "undo"} {
					t.Run(fmt.Sprintf("at effect %d, %t, then %s", n, late, finish), func(t *testing.T) {
						t.Parallel()
						killedAt(t, exchange, &tripwire{n: n, after: late, before: exchange}, finish, before, after)
					})
				}
			}
		}
	})
}

// killedAt publishes until the wire trips, then does or undoes all of it.
func killedAt(t *testing.T, exchange func(a, b string) error, wire *tripwire, finish string, before, after map[string]string) {
	s := newShop(t)
	tk, _ := heard("one", "1.1.0")
	w := wire.step(s.Publish)
	err := w.Do(t.Context(), tk)
	undoing := err == nil
	if undoing {
		err = w.Undo(t.Context(), tk)
	}
	require.ErrorIs(t, err, errCrash)
	p := step.PublishBy(exchange, s.Publish)
	applied, err := p.Probe(t.Context(), tk)
	require.NoError(t, err)
	verbs := map[string]func(context.Context, *update.Task) error{"do": p.Do, "undo": p.Undo}
	switch {
	case undoing:
		finish = "undo" // an undo that began goes on
	case applied == update.AppliedNo && finish == "undo":
		s.shows(t, before)
	}
	for range 2 {
		require.NoError(t, verbs[finish](t.Context(), tk))
		s.shows(t, map[string]map[string]string{"do": after, "undo": before}[finish])
	}
	require.NoError(t, p.Undo(t.Context(), tk))
	s.shows(t, before)
	s.publish(t, "two", "1.1.0")
	s.shows(t, after)
	require.Empty(t, s.beside(t, "*.kept"))
}

// shows checks what is there but for media, a link to another folder each time.
func (s *webSite) shows(t *testing.T, want map[string]string) {
	t.Helper()
	got := tree(t, s.dir)
	require.Contains(t, got, "media")
	delete(got, "media")
	require.Equal(t, want, got)
}

func TestPublishFilesJoinsWhatComesBeforeItHasMovedWhatLivesOn(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		for n, ended := 1, false; !ended; n++ {
			for _, finish := range []string{"do", "undo"} {
				s := newShop(t)
				late := func(a, b string) error { // somebody uploads right after the switch
					err := exchange(a, b)
					if err == nil && strings.HasSuffix(a, ".new") {
						put(t, "late", s.dir, "uploads/late.jpg")
						put(t, "late", s.dir, "config/db.local.php")
					}
					return err
				}
				rename := func(from, to string) error {
					err := os.Rename(from, to)
					if err == nil && strings.HasSuffix(from, ".new") && to == s.dir {
						put(t, "late", s.dir, "uploads/late.jpg")
						put(t, "late", s.dir, "config/db.local.php")
					}
					return err
				}
				tk, _ := heard("one", "1.1.0")
				w := &tripwire{n: n}
				p := step.PublishOn(w.around(late), w.around(rename), s.Publish)
				err := p.Do(t.Context(), tk)
				ended = err == nil
				if !ended {
					require.ErrorIs(t, err, errCrash)
				}
				p = step.PublishOn(late, rename, s.Publish)
				if finish == "undo" {
					require.NoError(t, p.Undo(t.Context(), tk))
				} else {
					require.NoError(t, p.Do(t.Context(), tk))
					require.Equal(t, "late", tree(t, s.dir)["uploads/late.jpg"], "at effect %d", n)
				}
				got := tree(t, s.dir)
				require.Equal(t, "photo", got["uploads/2026/photo.jpg"], "at effect %d, then %s", n, finish)
				require.Equal(t, "secret", got["config/db.local.php"], "at effect %d, then %s", n, finish)
				require.Equal(t, "own", got["config/own.local.php"])
				s.publish(t, "two", "1.0.0")
				s.publish(t, "three", "1.1.0")
				s.publish(t, "four", "1.0.0")
				lost := 0
				require.NoError(t, filepath.WalkDir(filepath.Dir(s.dir), func(path string, e fs.DirEntry, err error) error {
					if data, _ := os.ReadFile(path); string(data) == "late" {
						lost++
					}
					return err
				}))
				require.Contains(t, []int{0, 2}, lost, "at effect %d, then %s: both are somewhere, or never came", n, finish)
			}
			require.Less(t, n, 100)
		}
	})
}

func TestPublishFilesGoesOnWhereAVisitorHasMadeTheFolderBetweenTwoRenames(t *testing.T) {
	for _, finish := range []string{"do", "undo"} {
		s := newShop(t)
		tk, _ := heard("one", "1.1.0")
		require.ErrorIs(t, step.PublishBy(crashes[2].exchange, s.Publish).Do(t.Context(), tk), errCrash)
		require.NoDirExists(t, s.dir)
		put(t, "late", s.dir, "uploads/late.jpg")
		p := step.PublishBy(unsupported, s.Publish)
		want := "two"
		if finish == "do" {
			require.NoError(t, p.Do(t.Context(), tk))
		} else {
			require.NoError(t, p.Undo(t.Context(), tk))
			want = "one"
		}
		got := tree(t, s.dir)
		require.Equal(t, want, got["index.html"])
		require.Equal(t, "late", got["uploads/late.jpg"])
		require.Equal(t, "photo", got["uploads/2026/photo.jpg"])
		s.publish(t, "two", "1.0.0")
		require.Empty(t, s.beside(t, "*.kept"))
	}
}

func TestNoUploadIsLostWhilePublishFilesSwitches(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newShop(t)
		var visitors sync.WaitGroup
		stored, burst := []map[string]bool{{}, {}}, 0
		visit := func() { // visitors upload from now on, and for a while
			burst++
			prefix := fmt.Sprint(burst)
			for i := range stored {
				visitors.Go(func() {
					for n := range 30 {
						name := fmt.Sprintf("uploads/%d/%s-%d.jpg", i, prefix, n)
						path := filepath.Join(s.dir, name)
						if os.MkdirAll(filepath.Dir(path), 0o755) == nil && os.WriteFile(path, nil, 0o600) == nil {
							stored[i][name] = true
						}
					}
				})
			}
		}
		p := step.PublishBy(func(a, b string) error {
			visit()
			return exchange(a, b)
		}, s.Publish)
		for run := range 6 {
			tk, _ := heard(fmt.Sprint("run", run), []string{"1.1.0", "1.0.0"}[run%2])
			require.NoError(t, p.Do(t.Context(), tk))
			visitors.Wait()
			if run%3 == 0 {
				require.NoError(t, p.Undo(t.Context(), tk))
				visitors.Wait()
			}
		}
		for _, names := range stored {
			require.Greater(t, len(names), 10)
			for name := range names {
				require.FileExists(t, filepath.Join(s.dir, name))
			}
		}
	})
}

// TestPublishFilesIsTakenBackThoughAnUploadCameLate: who has a folder open
// writes into it, wherever it has been moved to.
func TestPublishFilesIsTakenBackThoughAnUploadCameLate(t *testing.T) {
	s := newShop(t)
	late := false
	exchange := func(a, b string) error {
		err := step.Exchange(a, b)
		if !late {
			put(t, "new", s.dir, "uploads/new.jpg")
			return err
		}
		return errors.Join(err, os.Mkdir(filepath.Join(s.dir, "uploads"), 0o755))
	}
	rename := func(from, to string) error {
		err := step.Rename(from, to)
		if aside, name, ok := strings.Cut(from, ".spare/"); ok && !late {
			late = true
			put(t, "late", aside+".spare", filepath.Join(filepath.Dir(name), "late.jpg"))
		}
		return err
	}
	p := step.PublishOn(exchange, rename, s.Publish)
	tk, _ := heard("one", "1.1.0")
	require.NoError(t, p.Do(t.Context(), tk))
	require.True(t, late)
	require.NoError(t, p.Undo(t.Context(), tk))
	got := tree(t, s.dir)
	require.Equal(t, "photo", got["uploads/2026/photo.jpg"])
	require.Equal(t, "new", got["uploads/new.jpg"])
	require.Equal(t, "late", got["uploads/late.jpg"])
}

func TestPublishFilesReplacesNothingThatCameAMomentAgo(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newShop(t)
		late := map[string]bool{}
		rename := func(from, to string) error {
			name, err := filepath.Rel(s.dir, to)
			if _, there := os.Lstat(to); err == nil && filepath.IsLocal(name) && strings.HasSuffix(name, ".local.php") && there != nil && !late[name] {
				late[name] = true
				put(t, "late "+name, to)
			}
			return step.Rename(from, to)
		}
		tk, _ := heard("one", "1.1.0")
		p := step.PublishOn(exchange, rename, s.Publish)
		for range 5 {
			if err := p.Do(t.Context(), tk); err != nil {
				require.ErrorIs(t, err, fs.ErrExist)
			}
		}
		require.NoError(t, p.Undo(t.Context(), tk))
		require.NotEmpty(t, late)
		got := map[string]bool{}
		require.NoError(t, filepath.WalkDir(filepath.Dir(s.dir), func(path string, e fs.DirEntry, err error) error {
			if data, err := os.ReadFile(path); err == nil {
				got[string(data)] = true
			}
			return err
		}))
		for name := range late {
			require.True(t, got["late "+name], "what came to %s is somewhere", name)
		}
		require.True(t, got["secret"] && got["own"] && got["photo"])
	})
}
