package sync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestAFolderThatWasReplacedIsTheOneThatIsSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	names := func(files cloudsync.Files) (all []string) {
		for f, err := range files.List(t.Context(), "") {
			require.NoError(t, err)
			all = append(all, f.Path)
		}
		return all
	}
	begin := func(files cloudsync.Files, want error) {
		_, err := files.Caps(t.Context())
		require.ErrorIs(t, err, want)
	}
	require.NoError(t, os.Mkdir(path, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path, "old"), []byte("1"), 0o600))
	files := cloudsync.Dir(path)
	defer func() { require.NoError(t, files.Close()) }()
	begin(files, nil)
	require.Equal(t, []string{"old"}, names(files))

	require.NoError(t, os.Rename(path, path+".away"))
	begin(files, cloudsync.ErrNotFound)
	require.NoError(t, os.Mkdir(path, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path, "new"), []byte("2"), 0o600))
	begin(files, nil)
	require.Equal(t, []string{"new"}, names(files))
	require.NoError(t, os.Remove(filepath.Join(path, "new")))
	begin(files, nil)
	require.Empty(t, names(files), "it is opened anew once")
}

// TestAFolderThatWasUsedBeforeIsLookedAtAgain: it stays open, and something else may
// have its name by now. Below some depth not all of them stay open.
func TestAFolderThatWasUsedBeforeIsLookedAtAgain(t *testing.T) {
	for _, depth := range []int{1, 3, 40} {
		path, elsewhere := t.TempDir(), t.TempDir()
		folder := strings.TrimSuffix(strings.Repeat("d/", depth), "/")
		require.NoError(t, os.MkdirAll(filepath.Join(path, folder), 0o755))
		files := cloudsync.Dir(path)
		place := func(name string) error {
			staged := cloudsync.Staging + "/staged"
			require.NoError(t, files.Stage(t.Context(), cloudsync.File{Path: staged, Mode: 0o640}, strings.NewReader(name)))
			_, err := files.Place(t.Context(), staged, folder+"/"+name)
			return err
		}
		for _, name := range []string{"1", "2"} {
			require.NoError(t, place(name))
			text, err := os.ReadFile(filepath.Join(path, folder, name))
			require.NoError(t, err)
			require.Equal(t, name, string(text))
		}
		for above := folder; above != "."; above = filepath.Dir(above) {
			in, away := filepath.Join(path, above), filepath.Join(elsewhere, "away")
			require.NoError(t, os.Rename(in, away))
			require.ErrorIs(t, place("3"), cloudsync.ErrNotFound, above)
			if os.Symlink(away, in) == nil { // else none can be had
				require.ErrorIs(t, place("4"), cloudsync.ErrNotFound, above)
				require.NoError(t, os.Remove(in))
			}
			require.NoError(t, os.MkdirAll(filepath.Join(path, folder), 0o755))
			require.NoError(t, place("5"))
			require.FileExists(t, filepath.Join(path, folder, "5"))
			require.NoError(t, os.RemoveAll(in))
			require.NoError(t, os.Rename(away, in))
			for _, name := range []string{"3", "4", "5"} {
				require.NoFileExists(t, filepath.Join(path, folder, name))
			}
		}
		require.NoError(t, files.Close())
	}
}

// TestADeletedStagingIsNoticed, which is where a folder is known by: whoever asks is
// told what a sync would do, and may have it done.
func TestADeletedStagingIsNoticed(t *testing.T) {
	path := t.TempDir()
	files := cloudsync.Dir(path)
	defer func() { require.NoError(t, files.Close()) }()
	f, err := cloudsync.New(cloudsync.Config{
		Name: "notes", Device: "laptop", Files: files, Store: memory.New(), Remote: memory.New().Remote("notes"), Vault: latch("secret"),
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	require.NoError(t, os.WriteFile(filepath.Join(path, "kept"), []byte("1"), 0o600))
	_, err = f.Sync(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(path, cloudsync.Staging)))
	_, err = f.Sync(t.Context(), cloudsync.Request{})
	require.ErrorIs(t, err, cloudsync.ErrGuard)
	plan, err := f.Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.Empty(t, plan.Actions)
	for range 2 {
		_, err = f.Sync(t.Context(), cloudsync.Request{Plan: plan.ID})
		require.NoError(t, err)
		plan.ID = ""
	}
	require.FileExists(t, filepath.Join(path, "kept"))
}

// leaving are Files that may go away when a file is staged, as those of a disk that is
// unplugged.
type leaving struct {
	*cloudsync.LocalFiles
	leave func()
}

func (l leaving) Stage(ctx context.Context, f cloudsync.File, content io.Reader) error {
	l.leave()
	return l.LocalFiles.Stage(ctx, f, content)
}

func TestAFolderThatGoesAwayIsNoDamage(t *testing.T) {
	for _, mounted := range []bool{false, true} { // an empty folder is left, where it was mounted
		cloud, path := memory.New().Remote("notes"), filepath.Join(t.TempDir(), "notes")
		open := func(path string, leave func()) *cloudsync.Folder {
			require.NoError(t, os.MkdirAll(path, 0o755))
			files := leaving{cloudsync.Dir(path), leave}
			f, err := cloudsync.New(cloudsync.Config{
				Name: "notes", Device: filepath.Base(path), Files: files, Store: memory.New(), Remote: cloud, Vault: latch("secret"),
				Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, errors.Join(f.Close(), files.Close())) })
			return f
		}
		other := filepath.Join(t.TempDir(), "other")
		a := open(other, func() {})
		leaves := false
		b := open(path, func() {
			if leaves {
				leaves = false
				require.NoError(t, os.CopyFS(path+".away", os.DirFS(path)))
				require.NoError(t, os.RemoveAll(path))
				if mounted {
					require.NoError(t, os.Mkdir(path, 0o755))
				}
			}
		})
		for i, want := range []error{nil, cloudsync.ErrNotFound, nil} {
			require.NoError(t, os.WriteFile(filepath.Join(other, fmt.Sprint("n", i)), []byte("text"), 0o600))
			_, err := a.Sync(t.Context(), cloudsync.Request{})
			require.NoError(t, err)
			leaves = want != nil
			_, err = b.Sync(t.Context(), cloudsync.Request{})
			require.ErrorIs(t, err, want)
			require.NotErrorIs(t, err, cloudsync.ErrCorrupt)
			if want != nil {
				require.NoError(t, os.RemoveAll(path))
				require.NoError(t, os.Rename(path+".away", path))
			}
		}
		require.FileExists(t, filepath.Join(path, "n2"))
	}
}
