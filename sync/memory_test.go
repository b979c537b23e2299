package sync_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/dir"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

// plenty is a tree of many small files, a hundred to a folder, that takes a bit of
// memory for each.
type plenty struct {
	n       int
	there   []bool // files
	edits   int    // of each hundredth file
	marker  string
	proof   string
	reached func() // is called now and then
}

const perFolder = 100

var born = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *plenty) content(i int) string {
	edits := 0
	if i%100 == 7 {
		edits = p.edits
	}
	return fmt.Sprint("content ", i, " ", edits)
}

func (p *plenty) file(i int) cloudsync.File {
	content := p.content(i)
	edits, _ := strconv.Atoi(content[strings.LastIndexByte(content, ' ')+1:])
	return cloudsync.File{
		Path: fmt.Sprintf("%06d/note-%08d.md", i/perFolder, i), Mode: 0o644, Size: int64(len(content)),
		ModTime: born.Add(time.Duration(edits) * time.Hour), Tag: strconv.Itoa(i),
	}
}

// at is the number of the file at a path, or -1.
func (p *plenty) at(path string) int {
	_, name, _ := strings.Cut(path, "/note-")
	i, err := strconv.Atoi(strings.TrimSuffix(name, ".md"))
	if err != nil || strings.HasPrefix(path, cloudsync.Staging) {
		return -1
	}
	return i
}

func (p *plenty) Caps(context.Context) (cloudsync.Caps, error) {
	return cloudsync.Caps{Modes: true, Symlinks: true, CaseSensitive: true, Now: born.AddDate(1, 0, 0)}, nil
}

func (p *plenty) List(_ context.Context, folder string) iter.Seq2[cloudsync.File, error] {
	return func(yield func(cloudsync.File, error) bool) {
		if folder == cloudsync.Staging {
			return
		}
		if folder == "" {
			for i := 0; i < p.n; i += perFolder {
				if p.there[i] && !yield(cloudsync.File{Path: fmt.Sprintf("%06d", i/perFolder), Mode: fs.ModeDir | 0o755}, nil) {
					return
				}
			}
			return
		}
		first, _ := strconv.Atoi(folder)
		for i := first * perFolder; i < (first+1)*perFolder; i++ {
			if p.there[i] && !yield(p.file(i), nil) {
				return
			}
		}
		p.reached()
	}
}

func (p *plenty) Stat(_ context.Context, path string) (cloudsync.File, error) {
	if path == p.proof {
		return cloudsync.File{Path: path}, nil
	}
	if i := p.at(path); i >= 0 && p.there[i] {
		return p.file(i), nil
	}
	if i, err := strconv.Atoi(path); err == nil && p.there[i*perFolder] {
		return cloudsync.File{Path: path, Mode: fs.ModeDir | 0o755}, nil
	}
	return cloudsync.File{}, cloudsync.ErrNotFound
}

func (p *plenty) Open(_ context.Context, path string) (io.ReadCloser, error) {
	if path == cloudsync.Staging+"/equals" && p.marker != "" {
		return io.NopCloser(strings.NewReader(p.marker)), nil
	}
	if i := p.at(path); i >= 0 && p.there[i] {
		return io.NopCloser(strings.NewReader(p.content(i))), nil
	}
	return nil, cloudsync.ErrNotFound
}

func (p *plenty) Stage(_ context.Context, f cloudsync.File, content io.Reader) error {
	if content == nil {
		return nil
	}
	text, err := io.ReadAll(content)
	if f.Path == cloudsync.Staging+"/equals" {
		p.marker = string(text)
	}
	if len(text) == 0 {
		p.proof = f.Path
	}
	return err
}

func (p *plenty) Place(_ context.Context, _, path string) (cloudsync.File, error) {
	i := p.at(path)
	if i < 0 {
		return cloudsync.File{Path: path, Mode: fs.ModeDir | 0o755}, nil
	}
	if p.there[i] = true; i%perFolder == 0 {
		p.reached()
	}
	return p.file(i), nil
}

func (p *plenty) Remove(context.Context, string, string) error { return nil }
func (p *plenty) Flush(context.Context) error                  { p.reached(); return nil }

// reaching is a remote of which each call is a moment to look at the memory.
type reaching struct {
	cloudsync.Remote
	p *plenty
}

func (r reaching) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	r.p.reached()
	return r.Remote.PutIfAbsent(ctx, name, body)
}

// peaks are the bytes that a sync of n files needs at most, for each kind of sync.
func peaks(t *testing.T, n int) map[string]int64 {
	keys := vault.New("passphrase").Draw()
	cloud, err := dir.Open(dir.Config{Path: t.TempDir()})
	require.NoError(t, err)
	defer cloud.Close()
	device := func(name string) (*plenty, func(kind string) int64) {
		db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "notes.db")})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		p := &plenty{n: n, there: make([]bool, n)}
		return p, func(kind string) int64 {
			before, most, calls := live(), int64(0), 0
			p.reached = func() {
				if calls++; calls%(1+n/2000) == 0 {
					most = max(most, live()-before)
				}
			}
			_, err := cloudsync.NewEngine(cloudsync.EngineConfig{
				Device: name, Files: p, Remote: reaching{cloud, p}, Store: db.SyncState("folder"), Sealer: keys,
				Parallel: 1, Room: 96 << 10, Part: 16 << 10,
			}).Sync(t.Context(), cloudsync.Request{})
			require.NoError(t, err, kind)
			return most
		}
	}
	a, syncA := device("A")
	b, syncB := device("B")
	for i := range a.there {
		a.there[i] = true
	}
	all := make(map[string]int64)
	all["initial"] = syncA("initial")
	all["no change"] = syncA("no change")
	all["pull"] = syncB("pull")
	for i := range b.there {
		require.True(t, b.there[i], "file %d has not come", i)
	}
	all["no change after a pull"] = syncB("no change after a pull")
	a.edits = 1
	all["1 % changed"] = syncA("1 % changed")
	return all
}

// live is what can be reached, in bytes.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestAFileTakesLittleMemory: what a sync needs grows by less than 200 bytes a file,
// beyond what it needs for any folder.
func TestAFileTakesLittleMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // what is garbage is not needed
	const few, many = 2000, 10_000
	small, large := peaks(t, few), peaks(t, many)
	for kind, n := range large {
		each := (n - small[kind]) / (many - few)
		t.Logf("%s: %d bytes a file beyond %d", kind, each, small[kind])
		require.Less(t, each, int64(200), kind)
	}
}
