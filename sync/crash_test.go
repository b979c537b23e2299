package sync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage/dir"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// roles are what this program does as a child.
var roles = proctest.Roles{
	// sync syncs until it is killed.
	"sync": func(args []string) error {
		for {
			if err := syncOnce(context.Background(), args[0], args[1]); err != nil {
				return err
			}
			fmt.Println("synced")
		}
	},
}

func TestMain(m *testing.M) { roles.Main(m) }

// syncOnce syncs the folder of a device with the cloud beside it.
func syncOnce(ctx context.Context, at, device string) (err error) {
	remote, err := dir.Open(dir.Config{Path: filepath.Join(at, "cloud")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	files := cloudsync.Dir(filepath.Join(at, device))
	defer func() { err = errors.Join(err, files.Close()) }()
	e := cloudsync.NewEngine(cloudsync.EngineConfig{
		Device: device, Files: files, Remote: remote, Store: page{filepath.Join(at, device+".notes")}, Sealer: plain{},
		MaxDelete: cloudsync.MaxDelete{Share: 1},
	})
	_, err = e.Sync(ctx, cloudsync.Request{})
	return err
}

// page is a FolderStore in one file.
type page struct{ path string }

func (p page) read() (map[string][]byte, error) {
	all := make(map[string][]byte)
	text, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}

func (p page) Update(_ context.Context, _ int64, entries []cloudsync.Entry, _ ...cloudsync.Event) (int64, error) {
	all, err := p.read()
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if e.Value == nil {
			delete(all, e.Key)
		} else {
			all[e.Key] = e.Value
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return 0, err
	}
	return 0, durable.Write(p.path, text, 0o600)
}

func (p page) Get(_ context.Context, key string) ([]byte, error) {
	all, err := p.read()
	value, there := all[key]
	if err == nil && !there {
		err = cloudsync.ErrNotFound
	}
	return value, err
}

func (p page) List(_ context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return func(yield func(cloudsync.Entry, error) bool) {
		all, err := p.read()
		if err != nil {
			yield(cloudsync.Entry{}, err)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if strings.HasPrefix(key, prefix) && !yield(cloudsync.Entry{Key: key, Value: all[key]}, nil) {
				return
			}
		}
	}
}

// TestWhoIsKilledLosesNothing: two devices sync all the time, and are killed at
// any moment, while somebody edits.
func TestWhoIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := 15
	if os.Getenv("UPKEEP_FULL") == "1" {
		rounds = 150
	}
	at, random := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	require.NoError(t, os.Mkdir(filepath.Join(at, "cloud"), 0o700))
	devices := []string{"a", "b"}
	for _, d := range devices {
		require.NoError(t, os.Mkdir(filepath.Join(at, d), 0o700))
	}
	written, replaced := make(map[string]bool), make(map[string]bool)
	for round := range rounds {
		for _, d := range devices {
			for i := range 10 {
				name := filepath.Join(at, d, fmt.Sprint(random.IntN(5)), fmt.Sprint(random.IntN(20)))
				if before, err := os.ReadFile(name); err == nil {
					replaced[string(before)] = true
				}
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				content := fmt.Sprint(d, round, i)
				written[content] = true
				require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
			}
			killed(t, at, d, time.Duration(random.IntN(40))*time.Millisecond)
		}
	}
	for range 3 {
		for _, d := range devices {
			require.NoError(t, syncOnce(t.Context(), at, d))
		}
	}
	a, b := contents(t, filepath.Join(at, "a")), contents(t, filepath.Join(at, "b"))
	require.Equal(t, a, b)
	there := make(map[string]bool)
	for _, content := range a {
		there[content] = true
	}
	for content := range written {
		require.True(t, there[content] || replaced[content], "content %s is lost", content)
	}
}

// killed starts a process that syncs, and kills it a while after its first sync
// has begun, or once that is over.
func killed(t *testing.T, at, device string, after time.Duration) {
	t.Helper()
	c := roles.Start(t, "sync", at, device)
	select {
	case line := <-c.Lines():
		require.Equal(t, "synced", line)
	case <-time.After(after):
	}
	c.Kill()
}

// contents are those of all files of a folder, but for what is staged.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && path == cloudsync.Staging {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(folder, path))
		all[path] = string(data)
		return err
	}))
	return all
}

// Watch has nothing: an engine knows no events.
func (p page) Watch(context.Context, int64) iter.Seq2[cloudsync.Event, error] {
	return func(func(cloudsync.Event, error) bool) {}
}
