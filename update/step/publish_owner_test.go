//go:build unix

package step_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/update/step"
)

const nobody = 65534

// owners is what a publish by another user comes to.
type owners struct{ Check, Do, Undo, Said string }

// becomeNobody gives up all rights.
func becomeNobody() {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		panic(err)
	}
}

func init() {
	// clear empties a folder as nobody.
	children["clear"] = func(args []string) {
		becomeNobody()
		s := step.ClearDir(args[0])
		fmt.Println(s.Check(context.Background(), task("one", "1.0.0")), s.Do(context.Background(), task("one", "1.0.0")))
	}
	// publish publishes 1.1.0 as nobody, and undoes it.
	children["publish"] = func(args []string) {
		becomeNobody()
		var p step.Publish
		if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
			panic(err)
		}
		p.Files = pagesOf
		said := new(bytes.Buffer)
		tk := task("one", "1.1.0")
		tk.Log = said
		s, ctx := step.PublishFiles(p), context.Background()
		text := func(err error) string {
			if err == nil {
				return ""
			}
			return err.Error()
		}
		var o owners
		if o.Check = text(s.Check(ctx, tk)); o.Check == "" {
			if o.Do = text(s.Do(ctx, tk)); o.Do == "" {
				o.Undo = text(s.Undo(ctx, tk))
			}
		}
		o.Said = said.String()
		_ = json.NewEncoder(os.Stdout).Encode(o)
	}
}

// publishAsNobody runs the child in a folder of nobody.
func publishAsNobody(t *testing.T, p step.Publish) (o owners) {
	t.Helper()
	p.Files = nil
	data, err := json.Marshal(map[string]any{"Dir": p.Dir, "Keep": p.Keep, "Replace": p.Replace})
	require.NoError(t, err)
	args := child("publish", string(data))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &o))
	return o
}

// nobodys makes a site of nobody.
func nobodys(t *testing.T) *webSite {
	needstest.Tool(t, "root", os.Geteuid() == 0)
	s := newSite(t)
	for path := filepath.Dir(s.dir); path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		require.NoError(t, os.Chmod(path, 0o755))
	}
	require.NoError(t, os.Mkdir(s.dir, 0o755))
	for _, path := range []string{filepath.Dir(s.dir), s.dir} {
		require.NoError(t, os.Chown(path, nobody, nobody))
	}
	return s
}

func TestPublishFilesGoesBackToATreeThatItCannotRead(t *testing.T) {
	s := nobodys(t)
	s.Replace = true
	secret := put(t, "of the server", s.dir, "session")
	require.NoError(t, os.Chmod(secret, 0o600))
	put(t, "of the server", s.dir, "private/file")
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "private"), 0o700))
	before := tree(t, s.dir)
	o := publishAsNobody(t, s.Publish)
	require.Equal(t, owners{Said: o.Said}, o)
	require.Contains(t, o.Said, `could not be touched: "private", "private", "session"`)
	require.Equal(t, before, tree(t, s.dir))
}

func TestPublishFilesFindsOutBeforehandThatAFolderOfSomebodyElseCannotBeMoved(t *testing.T) {
	s := nobodys(t)
	s.Keep = []string{"uploads"}
	put(t, "photo", s.dir, "uploads/photo.jpg") // of root
	require.Contains(t, publishAsNobody(t, s.Publish).Check, `"uploads" cannot be kept`)

	require.NoError(t, os.Chmod(filepath.Join(s.dir, "uploads"), 0o777))
	o := publishAsNobody(t, s.Publish)
	require.Equal(t, owners{Said: o.Said}, o)
	require.Equal(t, map[string]string{"uploads/photo.jpg": "photo"}, tree(t, s.dir))

	require.NoError(t, os.Chown(s.dir, 0, 0))
	require.Contains(t, publishAsNobody(t, s.Publish).Check, "cannot be written")
}

func TestPublishFilesGivesTheFolderTheModeAndOwnerOfTheOneBefore(t *testing.T) {
	needstest.Tool(t, "root", os.Geteuid() == 0)
	s := newSite(t)
	require.NoError(t, os.Mkdir(s.dir, 0o755))
	require.NoError(t, os.Chown(s.dir, nobody, nobody))
	require.NoError(t, os.Chmod(s.dir, 0o750|os.ModeSetgid))
	for i, version := range []string{"1.0.0", "1.1.0"} {
		s.publish(t, []string{"one", "two"}[i], version)
		info, err := os.Stat(s.dir)
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|os.ModeSetgid|0o750, info.Mode())
		require.EqualValues(t, nobody, info.Sys().(*syscall.Stat_t).Uid)
		require.EqualValues(t, nobody, info.Sys().(*syscall.Stat_t).Gid)
	}
}

func TestPublishFilesRefusesAFolderOfWhichItSeesOnlyNames(t *testing.T) {
	s := nobodys(t)
	put(t, "photo", s.dir, "uploads/photo.jpg")
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "uploads"), 0o744))
	require.Contains(t, publishAsNobody(t, s.Publish).Check, `"uploads/photo.jpg"`)
}

func TestPublishFilesFindsOutBeforehandThatAStickyFolderKeepsWhatIsSomebodyElses(t *testing.T) {
	const said = "has the sticky bit"
	for name, setUp := range map[string]func(s *webSite) (kept string){
		"the site": func(s *webSite) string {
			require.NoError(t, os.Chown(s.dir, 0, 0))
			require.NoError(t, os.Chmod(s.dir, 0o777))
			require.NoError(t, os.Chown(filepath.Dir(s.dir), 0, 0))
			require.NoError(t, os.Chmod(filepath.Dir(s.dir), 0o777|os.ModeSticky))
			return "none"
		},
		"a file in the site": func(s *webSite) string {
			put(t, "of the server", s.dir, "session")
			require.NoError(t, os.Chown(s.dir, 0, 0))
			require.NoError(t, os.Chmod(s.dir, 0o777|os.ModeSticky))
			return "session"
		},
		"a file in a folder": func(s *webSite) string {
			put(t, "of the server", s.dir, "up/session")
			require.NoError(t, os.Chmod(filepath.Join(s.dir, "up"), 0o777|os.ModeSticky))
			return "up/*"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := nobodys(t)
			s.Keep = []string{setUp(s)}
			require.Contains(t, publishAsNobody(t, s.Publish).Check, said)
		})
	}
	s := nobodys(t)
	s.Keep = []string{"up"} // whole, the folder may go
	put(t, "of the server", s.dir, "up/session")
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "up"), 0o777|os.ModeSticky))
	o := publishAsNobody(t, s.Publish)
	require.Equal(t, owners{Said: o.Said}, o)
	require.Equal(t, map[string]string{"up/session": "of the server"}, tree(t, s.dir))
}

func TestClearDirEmptiesFoldersThatItsUserHasMadeReadOnly(t *testing.T) {
	s := nobodys(t)
	clear := func() string {
		args := child("clear", s.dir)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		require.NoError(t, err)
		return string(out)
	}
	put(t, "a module", s.dir, "mod/a@v1/b/file")
	for _, path := range []string{"mod/a@v1/b", "mod/a@v1", "mod"} {
		require.NoError(t, os.Chown(filepath.Join(s.dir, path), nobody, nobody))
		require.NoError(t, os.Chmod(filepath.Join(s.dir, path), 0o555))
	}
	require.Equal(t, "<nil> <nil>\n", clear())
	require.Empty(t, tree(t, s.dir))
	require.DirExists(t, s.dir)

	put(t, "of the server", s.dir, "one/file")
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "empty"), 0o755)) // of root, too
	require.Contains(t, clear(), `folder "`+filepath.Join(s.dir, "one")+`" cannot be written, and is another user's`)
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "one"), 0o777))
	require.Equal(t, "<nil> <nil>\n", clear())
	require.Empty(t, tree(t, s.dir))
}
