package sync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// TestManyConflictsLeaveFewCopies: the others are in the history.
func TestManyConflictsLeaveFewCopies(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("d/n.md", "base")
	w.settle()
	for i := range 30 {
		a.disk.write("d/n.md", fmt.Sprint("a", i))
		b.disk.write("d/n.md", fmt.Sprint("b", i))
		w.settle()
		w.equal()
		require.Len(t, copies(a), min(i+1, 10))
	}
	for i := 20; i < 30; i++ {
		require.Contains(t, a.disk.String(), fmt.Sprintf("=b%d ", i), "the last are there")
	}
	there := make(map[string]bool)
	all := w.commits(a, cloudsync.CommitQuery{})
	for i := range all[1:] {
		for d, err := range w.engine(a, new(process), false).Diff(t.Context(), all[i+1].ID, all[i].ID) {
			require.NoError(t, err)
			if d.Kind == cloudsync.DifferenceAdded && strings.Contains(d.Path, " (conflict ") {
				require.Regexp(t, "^b[0-9]+$", w.open(a, all[i].ID, d.Path))
				there[d.Path] = true
			}
		}
	}
	require.Len(t, there, 30, "all are in the history")
}

// TestConflictsOfTheSameAreOne: of devices that have made the same edit, and of a
// copy that two have edited.
func TestConflictsOfTheSameAreOne(t *testing.T) {
	w := newWorld(t, 3)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	a.disk.write("n.md", "base")
	w.settle()
	a.disk.write("n.md", "of a")
	b.disk.write("n.md", "same")
	c.disk.write("n.md", "same")
	w.settle()
	w.equal()
	require.Len(t, copies(a), 1)
	beside := copies(a)[0]
	a.disk.write(beside, "edited by a")
	b.disk.write(beside, "edited by b")
	w.settle()
	w.equal()
	require.Len(t, copies(a), 2)
	for _, path := range copies(a) {
		require.Equal(t, 1, strings.Count(path, "(conflict "), path)
	}
}
