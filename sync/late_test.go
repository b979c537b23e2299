package sync_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// TestWhatAProgramWritesOnAfterASyncIsKept: into a file that came out, and that it
// has open.
func TestWhatAProgramWritesOnAfterASyncIsKept(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*disk)
		want string
	}{
		"replaced":             {func(d *disk) { d.write("d/n.md", "new") }, `^d/ d/n \(conflict [0-9a-f]{8}\)\.md=late d/n\.md=new$`},
		"by what is the same":  {func(d *disk) { d.write("d/n.md", "late") }, `^d/ d/n\.md=late$`},
		"removed":              {func(d *disk) { d.remove("d/n.md") }, `^d/ d/n\.md=late$`},
		"removed and all else": {func(d *disk) { d.remove("d") }, `^d/ d/n\.md=late$`},
		"a file above":         {func(d *disk) { d.remove("d"); d.write("d", "new") }, `^d=new n\.md=late$`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			a, b := w.devices[0], w.devices[1]
			a.disk.write("d/n.md", "old")
			w.settle()
			open := b.disk.all["d/n.md"]
			tt.edit(a.disk)
			w.must(a)
			w.must(b)
			b.disk.now += 8
			open.content, open.changed, open.mtime = "late", b.disk.tick(), b.disk.tick()
			r := w.must(b)
			require.Equal(t, name == "replaced" || name == "a file above", len(r.Conflicts) == 1, "%v", r.Conflicts)
			w.settle()
			w.equal()
			require.Regexp(t, tt.want, a.disk.String())
			require.Len(t, slices.DeleteFunc(slices.Collect(maps.Keys(b.disk.all)), func(path string) bool {
				return !strings.HasPrefix(path, cloudsync.Staging+"/")
			}), 1, "the mark alone")
		})
	}
}

// writesOn lets a program have a file open during a sync, and write on.
func (m *model) writesOn(d *device, s historytest.Step) {
	if _, begun := d.notes["journal/"]; begun { // what came out is looked at again when that has ended
		m.run(d, new(process))
		return
	}
	open := make(map[string]*node)
	for path, n := range d.disk.all {
		if n.mode.IsRegular() && !strings.HasPrefix(path, cloudsync.Staging) {
			open[path] = n
		}
	}
	m.tell("a program on %s has all open", d.name)
	m.run(d, new(process))
	for _, path := range slices.Sorted(maps.Keys(open)) {
		n := open[path]
		for now, other := range d.disk.all {
			if n != other {
				continue
			}
			if delete(open, path); now != path {
				m.writes(d, path, n)
			}
			break
		}
	}
	require.Empty(m, open, "a file that came out is deleted at once\n%s", m)
}

// writes lets a program write into a file that it opened at a path, and that has
// come out.
func (m *model) writes(d *device, path string, n *node) {
	m.gone[n.content] = true
	m.touched[n.content] = true // it may be at some other path
	content := m.content()
	d.disk.now++
	m.late, n.content, n.changed, n.mtime = true, content, d.disk.tick(), d.disk.tick()
	m.at[content] = path
	m.tell("a program on %s writes on: %s=%s", d.name, path, content)
}

// TestWhatWasMaskedBeforeACrashStaysMaskedAfterIt: else it would be taken for
// placed, and then for removed.
func TestWhatWasMaskedBeforeACrashStaysMaskedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for dies := 1; ; dies++ {
			w := newWorld(t, 2)
			a, b := w.devices[0], w.devices[1]
			a.disk.write("e", "1")
			a.disk.write("f", "2")
			w.must(a)
			b.refuses = "e"
			p := &process{dies: dies}
			_, _ = w.sync(b, p, cloudsync.Request{}) // it may die
			b.refuses = ""
			w.settle()
			w.equal()
			require.Equal(t, "e=1 f=2", a.disk.String(), "it died at call %d", dies)
			if !p.dead {
				require.Greater(t, dies, 20)
				return
			}
		}
	})
}

// TestWhatAProgramWroteLateIsInHistoryThoughAPullDiscardsIt: it is in no file that
// anybody sees when the pull begins.
func TestWhatAProgramWroteLateIsInHistoryThoughAPullDiscardsIt(t *testing.T) {
	m := &model{world: newWorld(t, 2)}
	a, b := m.devices[0], m.devices[1]
	m.wrote(a, "d/x", "of a")
	b.disk.write("d", "of b")
	open := b.disk.all["d"]
	require.Len(t, m.must(b).Conflicts, 1)
	b.disk.now += 8
	open.content, open.changed, open.mtime = "later", b.disk.tick(), b.disk.tick()
	require.NotContains(t, b.disk.String(), "later")
	_, err := m.world.sync(b, new(process), cloudsync.Request{Mode: cloudsync.ModeForcePull})
	require.NoError(t, err)
	require.True(t, m.isShelved(b, "later"))
	require.False(t, m.isShelved(b, "never"))
	m.settle()
	m.equal()
}
