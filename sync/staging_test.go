package sync_test

import (
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// halfway begins a sync of what another device has edited, which fails once all is
// staged.
func halfway(w *world, a, b *device) {
	a.disk.write("edited", "old")
	w.must(a)
	w.must(b)
	a.disk.write("edited", "new")
	a.disk.write("new", "new")
	w.must(a)
	broken := errors.New("input/output error")
	w.planted = func(c *cloudsync.EngineConfig, _ use, f mount, _ bool) {
		c.Files = told{f, func() error { return broken }}
	}
	_, err := w.sync(b, new(process), cloudsync.Request{})
	require.ErrorIs(w, err, broken)
	w.planted = nil
}

func TestASyncWithAnotherRemoteLeavesWhatIsStaged(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	halfway(w, a, b)
	one, notes := w.cloud, b.notes
	w.cloud, b.notes = newCloud(), make(map[string][]byte)
	w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Name = "another" }
	w.must(b)
	w.cloud, b.notes, w.planted = one, notes, nil
	w.must(b)
	require.Equal(t, "edited=new new=new", b.disk.String())
	w.settle()
	w.equal()
	require.Equal(t, "edited=new new=new", a.disk.String())
}

func TestWhatIsStagedAndDeletedIsNotTakenForPlaced(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	halfway(w, a, b)
	maps.DeleteFunc(b.disk.all, func(path string, _ *node) bool {
		return strings.HasPrefix(path, cloudsync.Staging+"/") && !strings.HasSuffix(path, "/equals")
	})
	w.must(b)
	require.Equal(t, "edited=new new=new", b.disk.String())
	w.settle()
	w.equal()
	require.Equal(t, "edited=new new=new", a.disk.String())
}

// inStaging is what is staged, but for the mark.
func inStaging(d *device) (all []string) {
	for path, n := range d.disk.all {
		if strings.HasPrefix(path, cloudsync.Staging+"/") && !strings.HasSuffix(path, "/equals") {
			all = append(all, n.content)
		}
	}
	slices.Sort(all)
	return all
}

func TestWhatWasStagedWithLostNotesIsDeleted(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	halfway(w, a, b)
	require.Equal(t, []string{"", "new", "new"}, inStaging(b))
	b.notes = make(map[string][]byte)
	require.Empty(t, w.must(b).Problems)
	require.Equal(t, []string{"old"}, inStaging(b), "what came out, until the next sync")
	w.must(b)
	require.Empty(t, inStaging(b))
	w.settle()
	require.Equal(t, "edited=new new=new", a.disk.String())
}

func TestAnEditThatCameOutAndNobodyHasIsNotDeleted(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	halfway(w, a, b)
	for path, n := range b.disk.all {
		if strings.HasPrefix(path, cloudsync.Staging+"/") && n.content == "new" {
			n.content = "precious"
			break
		}
	}
	b.notes = make(map[string][]byte)
	r := w.must(b)
	require.Len(t, r.Problems, 1)
	require.Contains(t, r.Problems[0].Reason, "staged with notes that are lost")
	for range 2 {
		w.must(b)
		require.Equal(t, []string{"precious"}, inStaging(b))
	}
}

func TestNotesThatWereNotLostGiveUpWhatIsDeleted(t *testing.T) {
	t.Parallel()
	each := 7 // of its calls, where not all have time
	if os.Getenv("UPKEEP_FULL") == "1" {
		each = 1
	}
	for dies := 1; ; dies += each {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		halfway(w, a, b)
		p, notes := &process{dies: dies}, b.notes
		b.notes = make(map[string][]byte)
		_, _ = w.sync(b, p, cloudsync.Request{})
		b.notes = notes
		w.must(b)
		w.settle()
		require.Equal(t, "edited=new new=new", a.disk.String(), "dies at %d\n%s", dies, w)
		require.Equal(t, "edited=new new=new", b.disk.String(), "dies at %d\n%s", dies, w)
		if !p.dead {
			return
		}
	}
}

// TestAnEditThatWasMovedAsideIsKept: where two entries cannot be exchanged at once, a
// crash comes between the two names that are given.
func TestAnEditThatWasMovedAsideIsKept(t *testing.T) {
	for _, placed := range []bool{false, true} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		halfway(w, a, b)
		id, staged := plain{}.ID([]byte("edited")), ""
		for path := range b.disk.all {
			if strings.HasSuffix(path, "-"+hex.EncodeToString(id[:16])) {
				staged = path
			}
		}
		require.NotEmpty(t, staged)
		b.disk.remove("edited")
		b.disk.write(staged+"-aside", "edited by b")
		if placed {
			b.disk.rename(staged, "edited")
		}
		w.must(b)
		w.settle()
		w.equal()
		require.Contains(t, a.disk.String(), "=edited by b")
		require.Contains(t, a.disk.String(), "=new")
	}
}

// TestWhatCameOutOfAPathIsKeptThoughItsProofIsGone, as it is when another process of
// this device took it for stale.
func TestWhatCameOutOfAPathIsKeptThoughItsProofIsGone(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	halfway(w, a, b)
	for path, n := range b.disk.all {
		switch {
		case strings.Contains(path, "-proof-"):
			b.disk.remove(path)
		case strings.HasPrefix(path, cloudsync.Staging+"/") && n.content == "new":
			n.content = "precious"
		}
	}
	for range 2 {
		w.must(b)
		require.Equal(t, "edited=new new=new", b.disk.String())
	}
	require.Equal(t, []string{"precious", "precious"}, inStaging(b))
}
