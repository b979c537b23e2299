package sync_test

import (
	"errors"
	"maps"
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
	w.must(b)
	w.cloud, b.notes = one, notes
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
