package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A program that starts on a new device makes the note of the day, with nothing in
// it, before the first sync has brought the one that has something.
func TestAnEmptyFileWithoutABaseGivesWay(t *testing.T) {
	for _, first := range []int{0, 1} {
		w := newWorld(t, 2)
		full, stub := w.devices[first], w.devices[1-first]
		full.disk.write("day.md", "what was written")
		stub.disk.now += 1000 // its clock is ahead
		stub.disk.write("day.md", "")
		w.settle()
		w.equal()
		require.Equal(t, "day.md=what was written", stub.disk.String(), "no copy of nothing is kept")
	}
}

// Who empties a file that was synced has edited it.
func TestAFileThatWasEmptiedIsEmpty(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("day.md", "what was written")
	w.settle()
	b.disk.write("day.md", "")
	w.settle()
	w.equal()
	require.Equal(t, "day.md=", a.disk.String())
}
