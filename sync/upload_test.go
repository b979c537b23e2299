package sync_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// refusing is a Remote that refuses its first pack.
type refusing struct {
	cloudsync.Remote
	err  error
	once *sync.Once
}

func (r refusing) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) (err error) {
	if strings.HasPrefix(name, "packs/") {
		r.once.Do(func() { err = r.err })
	}
	if err == nil {
		err = r.Remote.PutIfAbsent(ctx, name, body)
	}
	return err
}

func TestARemoteThatRefusesAPackIsNotTakenForAFile(t *testing.T) {
	denied := fmt.Errorf("%w: writing: %w", cloudsync.ErrDenied, fs.ErrPermission)
	absent := fmt.Errorf("%w: no such bucket", cloudsync.ErrNotFound)
	for _, c := range []struct {
		refused         error
		parallel, files int
	}{{denied, 1, 34}, {absent, 1, 34}, {denied, 2, 98}} { // a pack has 32 files
		if c.files > 40 && historytest.Raced() {
			continue // it is slow then
		}
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		remote := refusing{memory.New().Remote("notes"), c.refused, new(sync.Once)}
		w.planted = func(e *cloudsync.EngineConfig, _ use, _ mount, _ bool) { e.Remote, e.Parallel = remote, c.parallel }
		for i := range c.files {
			a.disk.write(fmt.Sprint(i), strings.Repeat(fmt.Sprintf("%8d", i), 50_000))
		}
		r, err := w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, c.refused)
		require.ErrorContains(t, err, "packs/")
		require.Empty(t, r.Problems)
		w.must(a)
		w.must(b)
		require.Equal(t, slices.Sorted(maps.Keys(a.disk.visible())), slices.Sorted(maps.Keys(b.disk.visible())))
	}
}

// lacking is a Remote that does not find some objects at first.
type lacking struct {
	cloudsync.Remote
	names map[string]bool
}

func (l lacking) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if l.names[name] {
		clear(l.names)
		return nil, fmt.Errorf("%w: %s", cloudsync.ErrNotFound, name)
	}
	return l.Remote.Get(ctx, name, off, n)
}

func TestAPackThatIsNotFoundIsNotTakenForAFolder(t *testing.T) {
	w := newWorld(t, 1)
	a := w.devices[0]
	a.disk.write("d/kept", "1")
	w.must(a)
	lost := make(map[string]bool)
	for name := range w.cloud.content {
		lost[name] = strings.HasPrefix(name, "packs/")
	}
	a.disk.write("other", "2") // the folder above is in another pack
	w.must(a)
	maps.DeleteFunc(a.notes, func(key string, _ []byte) bool {
		return strings.HasPrefix(key, "tree/") || strings.HasPrefix(key, "scan/")
	})
	w.planted = func(c *cloudsync.EngineConfig, u use, _ mount, _ bool) { c.Remote = lacking{u, lost} }
	puts := w.cloud.puts
	_, err := w.sync(a, new(process), cloudsync.Request{})
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
	require.Equal(t, puts, w.cloud.puts)
	require.Empty(t, lost)
	w.must(a)
	require.Equal(t, "d/ d/kept=1 other=2", a.disk.String())
}

// heard is a mount that tells which file is read.
type heard struct {
	mount
	of func(path string)
}

func (h heard) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	in, err := h.mount.Open(ctx, path)
	h.of(path)
	return in, err
}

// TestWhatWasSentOfAFileThatIsWrittenIsNotSentAgain, though what others have sent
// came in meanwhile.
func TestWhatWasSentOfAFileThatIsWrittenIsNotSentAgain(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	w.wrote(b, "x", "1")
	w.must(a)
	film, grows := noise(rand.NewChaCha8([32]byte{}), 3<<20), true
	w.planted = func(c *cloudsync.EngineConfig, _ use, m mount, _ bool) {
		c.Room = 1 << 19 // bytes of a pack
		c.Files = heard{m, func(path string) {
			if path == "film" && grows {
				a.disk.write("film", film)
				a.disk.now += 8
			}
		}}
	}
	a.disk.write("film", film)
	for i := range 4 {
		w.wrote(b, "x", fmt.Sprint("later ", i))
		require.NotEmpty(t, w.must(a).Problems)
	}
	grows = false
	w.settle()
	w.equal()
	require.Equal(t, film, b.disk.all["film"].content)
	require.Less(t, w.cloud.size(), int64(2*len(film)))
}

// full is a Remote without room for a pack.
type full struct{ cloudsync.Remote }

func (f full) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if strings.HasPrefix(name, "packs/") {
		return cloudsync.ErrFull
	}
	return f.Remote.PutIfAbsent(ctx, name, body)
}

func TestWhoFailsAgainAndAgainLeavesNothingThere(t *testing.T) {
	w := newWorld(t, 1)
	a, remote, refuses := w.devices[0], memory.New().Remote("notes"), false
	w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
		if c.Remote, c.Parallel = remote, 4; refuses {
			c.Remote = full{remote}
		}
	}
	objects := func() (n int) {
		for _, err := range remote.List(t.Context(), "", "") {
			require.NoError(t, err)
			n++
		}
		return n
	}
	w.wrote(a, "x", "1")
	there, notes := objects(), len(a.notes)
	refuses = true
	for i := range 3 {
		a.disk.write("x", fmt.Sprint("later ", i))
		_, err := w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrFull)
		require.Equal(t, there, objects())
	}
	require.Less(t, len(a.notes), notes+3)
	refuses = false
	w.must(a)
}
