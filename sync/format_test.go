package sync_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

// repository is one of the first format, which every later version reads. It was
// written with UPKEEP_WRITE_FORMAT=1, which nobody should need again.
const repository = "testdata/repository-1"

// TestARepositoryOfTheFirstFormatIsReadForEver: what is in testdata was written
// once, and never changes.
func TestARepositoryOfTheFirstFormatIsReadForEver(t *testing.T) {
	if os.Getenv("UPKEEP_WRITE_FORMAT") == "1" {
		writeRepository(t)
	}
	db := memory.New()
	cloud := db.Remote("notes")
	load(t, cloud)
	files := db.Files("notes")
	notes, err := cloudsync.New(cloudsync.Config{
		Name: "notes", Device: "reader", Files: files, Store: db, Remote: cloud, Vault: vault.New("the passphrase of the vector"),
	})
	require.NoError(t, err)
	defer notes.Close()
	run, err := notes.Sync(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.Equal(t, 6, run.Downloaded)
	for path, content := range map[string]string{
		"diary.md": "of the phone", "deep/down/empty": "", "deep/large": largeFile(), "n": "4",
	} {
		got, there := files.Person().Read(path)
		require.True(t, there, path)
		require.Equal(t, content, got, path)
	}
	f, err := files.Stat(t.Context(), "link")
	require.NoError(t, err)
	require.Equal(t, "deep/down", f.Link)
	require.Zero(t, run.Conflicts)
	var tagged, commits int
	for c, err := range notes.Commits(t.Context(), cloudsync.CommitQuery{}) {
		require.NoError(t, err)
		commits++
		if len(c.Tags) > 0 {
			tagged++
			require.Equal(t, []string{"the first"}, c.Tags)
			content, err := notes.Open(t.Context(), c.ID, "diary.md")
			require.NoError(t, err)
			text, err := io.ReadAll(content)
			require.NoError(t, err)
			require.NoError(t, content.Close())
			require.Equal(t, "of the laptop", string(text))
		}
	}
	require.Equal(t, 1, tagged)
	require.Equal(t, 89, commits)
	for damage, err := range notes.Verify(t.Context(), cloudsync.DepthContents) {
		require.NoError(t, err)
		require.Fail(t, "damage", "%v", damage)
	}
}

// largeFile is of more than one chunk, and compresses well.
func largeFile() string { return strings.Repeat("a line of a large file\n", 60_000) }

// load puts the objects of the vector into a remote.
func load(t *testing.T, cloud cloudsync.Remote) {
	require.NoError(t, filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		object, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		return cloud.PutIfAbsent(t.Context(), filepath.ToSlash(name), body{bytes.NewReader(object)})
	}))
}

type body struct{ *bytes.Reader }

func (b body) Size() int64 { return b.Reader.Size() }

// writeRepository makes a repository with all that the format has: chapters of the
// log, a tag, a conflict that has ended, and what a compaction leaves.
func writeRepository(t *testing.T) {
	cloud := memory.New().Remote("notes")
	device := func(name string) (*cloudsync.Folder, memory.Person) {
		db := memory.New()
		files := db.Files("notes")
		f, err := cloudsync.New(cloudsync.Config{
			Name: "notes", Device: name, Files: files, Store: db, Remote: cloud, Vault: vault.New("the passphrase of the vector"),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		return f, files.Person()
	}
	sync := func(f *cloudsync.Folder) cloudsync.Run {
		run, err := f.Sync(t.Context(), cloudsync.Request{By: cloudsync.By{Actor: "ann", Reason: "a vector"}})
		require.NoError(t, err)
		return run
	}
	laptop, here := device("laptop")
	phone, there := device("phone")
	here.Write("diary.md", "of the laptop")
	here.Write("deep/down/empty", "")
	here.Write("deep/large", largeFile())
	here.Link("link", "deep/down")
	first := sync(laptop)
	require.NoError(t, laptop.Tag(t.Context(), "the first", first.Commit, cloudsync.By{}))
	sync(phone)
	there.Write("diary.md", "of the phone")
	sync(phone)
	here.Write("diary.md", "of the laptop, later")
	sync(laptop)
	for c, err := range laptop.Conflicts(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, laptop.Resolve(t.Context(), c, cloudsync.KeepBoth, cloudsync.By{}))
	}
	run, err := laptop.Compact(t.Context(), cloudsync.Retention{Age: time.Nanosecond}, cloudsync.By{})
	require.NoError(t, err)
	_, err = laptop.Wait(t.Context(), run.ID)
	require.NoError(t, err)
	for n := range 5 {
		here.Write("n", fmt.Sprint(n))
		sync(laptop)
	}
	for n := range 80 {
		require.NoError(t, laptop.Tag(t.Context(), "the last", []string{first.Commit, ""}[n%2], cloudsync.By{}))
	}
	require.NoError(t, os.RemoveAll(repository))
	heads := 0
	for o, err := range cloud.List(t.Context(), "", "") {
		require.NoError(t, err)
		if strings.HasPrefix(o.Name, "heads/") {
			if heads++; heads > 1 {
				continue // the newest one has it all
			}
		}
		r, err := cloud.Get(t.Context(), o.Name, 0, -1)
		require.NoError(t, err)
		object, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		path := filepath.Join(repository, filepath.FromSlash(o.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, object, 0o644))
	}
}
