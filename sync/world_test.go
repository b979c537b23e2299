package sync_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/nfd"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// device is one of those that share a folder.
type device struct {
	name    string
	disk    *disk
	notes   map[string][]byte
	caps    cloudsync.Caps
	ignores map[string]bool
	refuses string // a name
}

// world is what a test looks after.
type world struct {
	testing.TB
	cloud   *cloud
	devices []*device
	told    []string                                                       // what has happened
	planted func(c *cloudsync.EngineConfig, u use, f mount, compacts bool) // a bug
	touched map[string]bool                                                // contents that are the work of more than one: renamed, or with other permissions
}

// lines are those that ignore what the device ignores.
func (d *device) lines() (all []string) {
	for path, is := range d.ignores {
		if is {
			all = append(all, "/"+path)
		}
	}
	return all
}

func newWorld(t testing.TB, devices int) *world {
	w := &world{TB: t, cloud: newCloud(), touched: make(map[string]bool)}
	for i := range devices {
		w.devices = append(w.devices, &device{
			name: string(rune('A' + i)), disk: newDisk(), notes: make(map[string][]byte), ignores: make(map[string]bool),
			caps: cloudsync.Caps{Modes: true, Symlinks: true, CaseSensitive: true},
		})
	}
	return w
}

func (w *world) tell(format string, args ...any) {
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// sync runs a sync of a device as a process of its own.
func (w *world) sync(d *device, p *process, q cloudsync.Request) (cloudsync.EngineResult, error) {
	return w.engine(d, p, false).Sync(w.Context(), q)
}

func (w *world) engine(d *device, p *process, compacts bool) *cloudsync.Engine {
	caps := d.caps
	caps.Refuses = func(name string) string {
		if name == d.refuses {
			return "it cannot be had here"
		}
		return ""
	}
	files, remote := mount{d.disk, p, caps}, use{w.cloud, p}
	c := cloudsync.EngineConfig{
		Device: d.name, Files: files, Remote: remote, Store: &notes{d.notes, p}, Sealer: plain{},
		Ignore:    d.lines(),
		MaxDelete: cloudsync.MaxDelete{Share: 1}, Parallel: 1,
		Young: -1,
	}
	if w.planted != nil {
		w.planted(&c, remote, files, compacts)
	}
	return cloudsync.NewEngine(c)
}

// calm ends all that the world does.
func (w *world) calm() {
	w.cloud.hidden = 0
	clear(w.cloud.fails)
}

// settle syncs all devices until nothing changes.
func (w *world) settle() {
	w.Helper()
	w.calm()
	for range 4 + 3*len(w.devices) {
		before := w.cloud.puts
		quiet := true
		for _, d := range w.devices {
			was := d.disk.String()
			d.disk.now += 8 // a person waits for a moment
			r, err := w.sync(d, new(process), cloudsync.Request{})
			require.NoError(w, err, "device %s\n%s", d.name, w)
			w.tell("%s settles: commit %.4s, conflicts %v, problems %v: %s", d.name, r.Commit, r.Conflicts, r.Problems, d.disk)
			quiet = quiet && d.disk.String() == was
		}
		if quiet && w.cloud.puts == before {
			return
		}
	}
	require.Fail(w, "it does not come to rest", "%s", w)
}

// equal checks that all devices have the same, but for what one that takes some
// names for one cannot hold.
func (w *world) equal() {
	w.Helper()
	first := w.devices[0].disk
	for _, d := range w.devices[1:] {
		if !d.disk.dull && !d.disk.nfd {
			require.Equal(w, first.String(), d.disk.String(), "%s and %s\n%s", w.devices[0].name, d.name, w)
			continue
		}
		for path, n := range d.disk.visible() {
			var there []string // what is there by names that are one here
			for other, same := range first.all {
				if d.disk.nfd && nfd.Form(other) == path || other == path {
					there = append(there, same.content)
				}
			}
			require.Contains(w, there, n.content, "%s alone has %s\n%s", d.name, path, w)
		}
		for path := range first.visible() {
			if d.disk.all[d.disk.real(path)] == nil {
				require.NotNil(w, d.disk.clash(path), "%s lacks %s: %s\n%s", d.name, path, d.disk, w)
			}
		}
	}
}

// visible is what people see.
func (d *disk) visible() map[string]*node {
	return maps.Collect(func(yield func(string, *node) bool) {
		for path, n := range d.all {
			if path != cloudsync.Staging && !strings.HasPrefix(path, cloudsync.Staging+"/") && !yield(path, n) {
				return
			}
		}
	})
}

// clash is what is here by another name that is one with that of a path, or of a
// folder above.
func (d *disk) clash(path string) *node {
	for other, n := range d.all {
		for i := range len(path) + 1 {
			if (i == len(path) || path[i] == '/') && other != path[:i] && d.one(other, path[:i]) {
				return n
			}
		}
	}
	return nil
}

func (w *world) String() string { return strings.Join(w.told, "\n") }

// brief is a content, or what tells a long one from others.
func brief(content string) string {
	if len(content) <= 100 {
		return content
	}
	return fmt.Sprintf("%s and so on, %d bytes, %.4x", content[:20], len(content), sha256.Sum256([]byte(content)))
}

// String are the words of a disk: path=content, path>target, path/ and permissions
// that are not the usual ones.
func (d *disk) String() string {
	var words []string
	for _, path := range slices.Sorted(maps.Keys(d.all)) {
		n := d.all[path]
		switch {
		case path == cloudsync.Staging || strings.HasPrefix(path, cloudsync.Staging+"/"):
		case n.mode.IsDir():
			words = append(words, path+"/")
		case n.mode&fs.ModeSymlink != 0:
			words = append(words, path+">"+n.content)
		default:
			word := path + "=" + brief(n.content)
			if perm := n.mode.Perm(); perm != 0o644 {
				word += fmt.Sprintf("!%o", perm)
			}
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

func (w *world) must(d *device) cloudsync.EngineResult {
	w.Helper()
	d.disk.now += 8
	r, err := w.sync(d, new(process), cloudsync.Request{})
	require.NoError(w, err, "device %s\n%s", d.name, w)
	return r
}

func TestTwoDevicesHaveTheSame(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("diary.md", "monday")
	a.disk.write("notes/one.md", "1")
	a.disk.folder("empty")
	require.True(t, w.must(a).Committed)
	require.False(t, w.must(b).Committed)
	w.equal()

	b.disk.write("diary.md", "tuesday")
	b.disk.remove("notes")
	b.disk.rename("empty", "full")
	w.must(b)
	w.must(a)
	w.equal()
	require.Equal(t, "diary.md=tuesday full/", a.disk.String())
	puts := w.cloud.puts
	require.False(t, w.must(a).Committed)
	require.Equal(t, puts, w.cloud.puts)

	a.disk.write("diary.md", "left")
	b.disk.write("diary.md", "right")
	w.must(a)
	r := w.must(b)
	require.Len(t, r.Conflicts, 1)
	w.settle()
	w.equal()
	require.Regexp(t, `^diary \(conflict [0-9a-f]{8}\)\.md=right diary\.md=left full/$`, a.disk.String())
}

func TestAMassDeletionIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 50 {
		w.devices[0].disk.write(fmt.Sprint("d/", i), fmt.Sprint(i))
	}
	d := w.devices[0]
	w.must(d)
	d.disk.remove("d")
	p := new(process)
	e := cloudsync.NewEngine(cloudsync.EngineConfig{Device: "A", Files: mount{d.disk, p, d.caps}, Remote: use{w.cloud, p}, Store: &notes{d.notes, p}, Sealer: plain{}, Parallel: 1})
	_, err := e.Sync(t.Context(), cloudsync.Request{})
	require.ErrorIs(t, err, cloudsync.ErrGuard)
	require.ErrorContains(t, err, "50 of 50 files in the remote")
	plan, err := e.Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.Equal(t, "it would delete 50 of 50 files in the remote", plan.Guard)
	require.Len(t, plan.Actions, 50)
	require.Equal(t, "delete_remote d/0 (1 byte)", plan.Actions[0].String())
	d.disk.write("new", "1")
	_, err = e.Sync(t.Context(), cloudsync.Request{Plan: plan.ID})
	require.ErrorIs(t, err, cloudsync.ErrStale)
	d.disk.remove("new")
	_, err = e.Sync(t.Context(), cloudsync.Request{Plan: plan.ID})
	require.NoError(t, err)
}
