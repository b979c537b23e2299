package sync_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// cramped is a mount with room for files of so many bytes, of which it may know.
type cramped struct {
	mount
	most int64
	read *int64 // bytes of contents
}

func (c cramped) Stage(ctx context.Context, f cloudsync.File, content io.Reader) error {
	if content == nil {
		return c.mount.Stage(ctx, f, nil)
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return fmt.Errorf("%w: %w", cloudsync.ErrFull, err) // as if it were of the disk
	}
	if *c.read += int64(len(data)); int64(len(data)) > c.most {
		return fmt.Errorf("%w: of %d bytes", cloudsync.ErrFull, len(data))
	}
	return c.mount.Stage(ctx, f, strings.NewReader(string(data)))
}

// TestWhatHasNoRoomStopsNothingElse: neither what others send, nor what is sent
// from here, whether the folder knows how much room there is or not.
func TestWhatHasNoRoomStopsNothingElse(t *testing.T) {
	for _, free := range []int64{0, 1000} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		w.wrote(a, "film", "short")
		w.must(b)
		room, read := int64(1000), int64(0)
		w.planted = func(c *cloudsync.EngineConfig, _ use, m mount, _ bool) {
			if c.Device == b.name {
				m.caps.Free = min(free, room)
				c.Files = cramped{m, room, &read}
			}
		}
		a.disk.write("film", strings.Repeat("f", 5000))
		a.disk.write("d/other", strings.Repeat("o", 5000))
		w.wrote(a, "d/n", "of a")
		b.disk.write("m", "of b")
		for range 2 {
			r := w.must(b)
			require.Len(t, r.Problems, 2)
			require.Contains(t, fmt.Sprint(r.Problems), "space")
			require.Equal(t, "d/ d/n=of a film=short m=of b", b.disk.String())
			b.disk.write("m", "of b, later")
			w.must(b)
			w.must(a)
			require.Contains(t, a.disk.String(), "m=of b, later")
			b.disk.write("m", "of b")
		}
		if free > 0 {
			require.Less(t, read, int64(1000), "what has no room is not read")
		}
		room = 1 << 20
		free = min(free*1000, room)
		w.settle()
		w.equal()
		require.Contains(t, b.disk.String(), "ffff")
	}
}

// TestWhatCannotBeReadIsNotTakenForAFullDisk: it is an error of the sync.
func TestWhatCannotBeReadIsNotTakenForAFullDisk(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	w.wrote(a, "x", "text of x")
	read := int64(0)
	w.planted = func(c *cloudsync.EngineConfig, _ use, m mount, _ bool) { c.Files = cramped{m, 1000, &read} }
	w.cloud.flip(w.cloud.first("packs/", "text of x"), "text of x")
	_, err := w.sync(b, new(process), cloudsync.Request{})
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
}

// TestAPullThatCannotEndIsNoEndOfSending: a content is damaged that a device has
// not read yet. What it has itself is sent all the same, and after a repair all is
// well.
func TestAPullThatCannotEndIsNoEndOfSending(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	w.wrote(a, "x", "text of x")
	w.cloud.flip(w.cloud.first("packs/", "text of x"), "text of x")
	for i := range 3 {
		b.disk.write("m", fmt.Sprint("of b ", i))
		b.disk.now += 8
		_, err := w.sync(b, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrCorrupt)
		w.must(a)
		require.Equal(t, fmt.Sprintf("m=of b %d x=text of x", i), a.disk.String())
	}
	_, err := w.engine(b, new(process), false).Repair(t.Context(), cloudsync.By{})
	require.NoError(t, err)
	w.must(a)
	w.settle()
	w.equal()
	require.Equal(t, "m=of b 2 x=text of x", b.disk.String())
}

// unreadable is a mount of which some files may not be read any more.
type unreadable struct {
	mount
	paths map[string]bool
}

func (s unreadable) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if s.paths[path] {
		return nil, fmt.Errorf("%w: %q", fs.ErrPermission, path)
	}
	return s.mount.Open(ctx, path)
}

// TestWhatMayNotBeReadAnyMoreStopsNothingElse: not what is sent from here, and what
// others have done to it waits.
func TestWhatMayNotBeReadAnyMoreStopsNothingElse(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	w.wrote(a, "x", "text")
	w.wrote(a, "z", "text")
	w.wrote(a, "y", "text")
	w.must(b)
	b.disk.now += 100
	w.must(b) // it reads all that is recent
	paths := map[string]bool{"x": true, "z": true}
	w.planted = func(c *cloudsync.EngineConfig, _ use, m mount, _ bool) {
		if c.Device == b.name {
			c.Files = unreadable{m, paths}
		}
	}
	w.wrote(a, "x", "text of a")
	a.disk.remove("y")
	a.disk.remove("z")
	w.must(a)
	for i := range 2 {
		b.disk.write("m", fmt.Sprint("of b ", i))
		require.Contains(t, fmt.Sprint(w.must(b).Problems), "permission")
		require.Equal(t, fmt.Sprintf("m=of b %d x=text z=text", i), b.disk.String())
		w.must(a)
		require.Equal(t, fmt.Sprintf("m=of b %d x=text of a", i), a.disk.String())
	}
	clear(paths)
	w.settle()
	w.equal()
	require.Contains(t, b.disk.String(), "x=text of a")
}
