package sync_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// like is a disk that has what another one has now.
func (d *disk) like() *disk {
	fresh := &disk{all: make(map[string]*node), now: d.now, born: d.born}
	for path, n := range d.all {
		twin := *n
		fresh.all[path] = &twin
	}
	return fresh
}

func TestAFolderThatIsNotMountedIsRefused(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("one", "1")
	a.disk.write("two", "2")
	w.must(a)
	w.must(b)
	mounted := a.disk
	a.disk = newDisk()
	for range 2 {
		_, err := w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrGuard)
		require.ErrorContains(t, err, "it has no mark")
	}
	plan, err := w.engine(a, new(process), false).Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.Contains(t, plan.Guard, "it has no mark")
	require.Len(t, plan.Actions, 2)
	a.disk = mounted
	w.settle()
	w.equal()
	require.Equal(t, "one=1 two=2", a.disk.String())

	a.disk = newDisk() // and once more, on purpose
	plan, err = w.engine(a, new(process), false).Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	_, err = w.sync(a, new(process), cloudsync.Request{Plan: plan.ID})
	require.NoError(t, err)
	w.settle()
	w.equal()
	require.Empty(t, b.disk.String())
}

func TestAFolderThatWasCopiedGoesOnFromItsCommit(t *testing.T) {
	w := newWorld(t, 3)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	a.disk.write("kept", "1")
	a.disk.write("edited", "2")
	a.disk.write("deleted", "3")
	w.must(a)
	b.disk = a.disk.like() // with nothing that the device has noted
	a.disk.write("edited", "of a")
	w.must(a)
	b.disk.remove("deleted")
	r := w.must(b)
	require.Empty(t, r.Conflicts)
	require.Equal(t, "edited=of a kept=1", b.disk.String())

	c.disk = a.disk.like()
	delete(c.disk.all, cloudsync.Staging+"/equals")
	r = w.must(c)
	require.Empty(t, r.Conflicts, "without a mark it is a union of what is the same")
	w.settle()
	w.equal()
	require.Equal(t, "deleted=3 edited=of a kept=1", a.disk.String())
}

func TestNotesThatWereRestoredDoNotUndoWhatTheFolderHas(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("one", "1")
	w.must(a)
	w.must(b)
	old := maps.Clone(a.notes)
	a.disk.write("two", "2")
	a.disk.write("one", "edited")
	w.must(a)
	w.must(b)
	b.disk.remove("two")
	b.disk.write("one", "once more")
	w.must(b)
	a.notes = old
	r := w.must(a)
	require.Empty(t, r.Conflicts)
	w.settle()
	w.equal()
	require.Equal(t, "one=once more", a.disk.String())
}

// TestAMarkIsNoBaseForWhatWasNeverHere: a device that has lost its notes deletes
// nothing that it had ignored, or could not have.
func TestAMarkIsNoBaseForWhatWasNeverHere(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("x", "1")
	a.disk.write("foo/bar", "precious")
	b.ignores["foo"] = true
	w.settle()
	require.NotContains(t, b.disk.String(), "precious")
	clear(b.notes)
	delete(b.ignores, "foo")
	w.settle()
	require.Contains(t, a.disk.String(), "precious")
	require.Equal(t, a.disk.String(), b.disk.String())
	clear(b.notes)
	b.disk.remove("x")
	w.settle()
	require.NotContains(t, a.disk.String(), "x=", "it had all of the commit")
}

func TestAMarkIsNoBaseForNamesThatDifferInCase(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	b.caps.CaseSensitive = false
	b.disk.dull = true
	a.disk.write("a.md", "1")
	a.disk.write("A.md", "precious")
	for range 3 {
		w.must(a)
		w.must(b)
	}
	clear(b.notes)
	for range 3 {
		w.must(b)
		w.must(a)
	}
	require.Contains(t, a.disk.String(), "precious")
	require.Contains(t, a.disk.String(), "a.md=1")
}
