package sync_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// reader notes the files that are read.
type reader struct {
	mount
	read *[]string
}

func (r reader) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if !strings.HasPrefix(path, cloudsync.Staging) {
		*r.read = append(*r.read, path)
	}
	return r.mount.Open(ctx, path)
}

// reads syncs a device, and returns the files that were read for that.
func (w *world) reads(d *device) (read []string) {
	w.planted = func(c *cloudsync.EngineConfig, _ use, f mount, _ bool) { c.Files = reader{f, &read} }
	defer func() { w.planted = nil }()
	w.must(d)
	slices.Sort(read)
	return read
}

func TestWhatWasPlacedIsNotReadAgain(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("d/below/one", "1")
	a.disk.write("d/here", "2")
	a.disk.write("top", "3")
	a.disk.write("d/touched", "4")
	a.disk.all["d/touched"].mtime = 1000 // later than now: an edit may have an earlier time, or this one
	w.must(a)
	require.Empty(t, w.reads(b))
	require.Equal(t, []string{"d/touched"}, w.reads(b))
	require.Empty(t, w.reads(b))

	a.disk.write("d/here", "5")
	w.must(a)
	require.Equal(t, []string{"d/here"}, w.reads(b), "before it is replaced")
	require.Empty(t, w.reads(b))
	b.disk.remove("d")
	w.must(b)
	w.settle()
	require.Equal(t, "top=3", a.disk.String())
	for _, d := range w.devices {
		for key := range d.notes {
			require.NotContains(t, key, "scan/d")
		}
	}
}

// TestAnEditOfWhatWasJustPlacedIsSeen: in the same tick of the clock, by a content
// that is as long.
func TestAnEditOfWhatWasJustPlacedIsSeen(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("note", "1")
	a.disk.all["note"].mtime = 1 // of that tick, too
	w.must(a)
	b.disk.now += 8
	_, err := w.sync(b, new(process), cloudsync.Request{})
	require.NoError(t, err)
	tag := b.disk.all["note"].changed
	b.disk.write("note", "2")
	require.Equal(t, tag, b.disk.all["note"].changed, "it is the same tick")
	b.disk.now += 80
	w.must(b)
	w.settle()
	require.Equal(t, "note=2", a.disk.String())
}
