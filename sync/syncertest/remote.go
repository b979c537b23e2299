package syncertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// noise is a text of n bytes, another for each seed.
func noise(seed uint64, n int) string {
	random := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, n+7)
	for i := 0; i < n; i += 8 {
		for j, bits := 0, random.Uint64(); j < 8 && i+j < len(data); j++ {
			data[i+j] = byte(bits >> (8 * j))
		}
	}
	return string(data[:n])
}

func (t *remoteTest) reads() {
	for i, n := range []int{0, 1, 4096, 16<<20 + 1} {
		name, content := fmt.Sprintf("d/%d", n), noise(uint64(i), n)
		require.NoError(t, t.put(name, content))
		t.has(name, content)
		t.has(name, content)
	}
}

func (t *remoteTest) once() {
	require.NoError(t, t.put("one", "first"))
	for _, content := range []string{"other", "first", "", "longer than the first"} {
		require.ErrorIs(t, t.put("one", content), cloudsync.ErrExists, "%q", content)
		t.has("one", "first")
	}
	t.lists("", "", "one")
}

func (t *remoteTest) wins()     { t.winsBy(t.Remote) }
func (t *remoteTest) winsOver() { t.winsBy(t.Again(t, t.Remote)) }

// winsBy lets puts of one name race, of which every other one is by another handle.
func (t *remoteTest) winsBy(other cloudsync.Remote) {
	const racers = 64
	ctx := t.Context()
	var work sync.WaitGroup
	var errs [racers]error
	var saw [racers]string
	for i := range racers {
		work.Go(func() {
			r := t.Remote
			if i%2 == 1 {
				r = other
			}
			errs[i] = r.PutIfAbsent(ctx, "d/one", strings.NewReader(noise(uint64(i), 1000+i)))
			got, err := read(ctx, r, "d/one", 0, -1)
			assert.NoError(t, err)
			saw[i] = got
		})
	}
	work.Wait()
	winner := slices.Index(errs[:], nil)
	require.NotEqual(t, -1, winner, "nobody wins: %v", errs[0])
	for i, err := range errs {
		if i != winner {
			require.ErrorIs(t, err, cloudsync.ErrExists)
		}
		require.True(t, noise(uint64(winner), 1000+winner) == saw[i], "what another one put was seen")
	}
	t.lists("", "", "d/one")
}

func (t *remoteTest) handles() {
	other := t.Again(t, t.Remote)
	require.NoError(t, other.PutIfAbsent(t.Context(), "d/one", strings.NewReader("content")))
	t.has("d/one", "content")
	require.ErrorIs(t, t.put("d/one", "other"), cloudsync.ErrExists)
	t.lists("", "", "d/one")
	require.NoError(t, other.Delete(t.Context(), "d/one"))
	t.gone("d/one")
	require.NoError(t, t.put("d/one", "new"))
	got, err := read(t.Context(), other, "d/one", 0, -1)
	require.NoError(t, err)
	require.Equal(t, "new", got)
	require.NoError(t, other.Close())
	t.has("d/one", "new")
}

func (t *remoteTest) absent() {
	t.puts("d/e/one")
	for _, name := range []string{"one", "d", "d/e", "d/e/on", "d/e/one/more", "x/y/z"} {
		r, err := t.Get(t.Context(), name, 0, -1)
		require.ErrorIs(t, err, cloudsync.ErrNotFound, name)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
		require.Nil(t, r)
	}
}

func (t *remoteTest) parts() {
	const size = 10_000
	content := noise(1, size)
	require.NoError(t, t.put("one", content))
	tests := [][2]int64{
		{0, 10}, {0, 0}, {100, 0}, {size / 2, 100}, {0, size}, {size - 1, 1}, {size - 10, 10}, {size - 10, 11}, {1, size},
		{size, 1}, {size, -1}, {size + 1, 1}, {size * 3, -1}, {0, -1}, {1, -1}, {size - 1, -1}, {7, -100}, {5, 1<<63 - 1}, {1<<63 - 1, 1<<63 - 1},
	}
	for range 50 {
		tests = append(tests, [2]int64{rand.Int64N(size + 100), rand.Int64N(size+200) - 100})
	}
	for _, tt := range tests {
		off, n := tt[0], tt[1]
		want := content[min(off, size):]
		if n >= 0 {
			want = want[:min(n, int64(len(want)))]
		}
		got, err := read(t.Context(), t.Remote, "one", off, n)
		require.NoError(t, err, "%d bytes from %d", n, off)
		require.True(t, want == got, "%d bytes from %d", n, off)
	}
}

func (t *remoteTest) before() {
	t.puts("one")
	for _, off := range []int64{-1, -3, -1 << 63} {
		_, err := t.Get(t.Context(), "one", off, 2)
		require.ErrorIs(t, err, cloudsync.ErrInvalid, "%d", off)
	}
}

// mixed are names in byte order.
var mixed = []string{
	"a", "a-b", "a.b", "a/.x", "a/b", "a/b-c/d", "a/b/c", "a/b0", "a/bc", "a0", "a_b", "aa/x", "b/10", "b/9", "b_",
}

func (t *remoteTest) putsMixed() {
	for _, i := range rand.Perm(len(mixed)) {
		t.puts(mixed[i])
	}
}

func (t *remoteTest) ordered() {
	t.lists("", "")
	t.putsMixed()
	require.True(t, slices.IsSorted(mixed))
	t.lists("", "", mixed...)
}

func (t *remoteTest) prefixed() {
	t.putsMixed()
	for _, prefix := range []string{
		"a", "a/", "a/b", "a/b/", "a/b/c", "a/b-", "aa", "aa/", "b", "b/1", "c", "a/b/c/", "/", "A", "..", "../", "a//", "a/../a",
	} {
		t.lists(prefix, "", under(prefix, "")...)
	}
}

// under are the mixed names with a prefix and greater than one.
func under(prefix, after string) (names []string) {
	for _, name := range mixed {
		if strings.HasPrefix(name, prefix) && name > after {
			names = append(names, name)
		}
	}
	return names
}

func (t *remoteTest) after() {
	t.putsMixed()
	for _, prefix := range []string{"", "a/", "a/b"} {
		for _, after := range append([]string{"a/", "a/b/", "a/b/d", "Z", "a/c", "zz", "..", "/", "~"}, mixed...) {
			t.lists(prefix, after, under(prefix, after)...)
		}
	}
}

func (t *remoteTest) long() {
	var names []string
	for _, n := range []int{0, 1, 999, 1000, 1001} {
		var work sync.WaitGroup
		room := make(chan struct{}, 16)
		for i := len(names); i < n; i++ {
			name := fmt.Sprintf("d%d/%04d", i/300, i)
			names = append(names, name)
			room <- struct{}{}
			work.Go(func() {
				defer func() { <-room }()
				assert.NoError(t, t.put(name, ""))
			})
		}
		work.Wait()
		t.lists("", "", names...)
	}
	t.lists("d", names[0], names[1:]...)
}

func (t *remoteTest) again() {
	t.puts("a", "b", "c")
	list := t.List(t.Context(), "", "")
	for range 3 {
		n := 0
		for o, err := range list {
			require.NoError(t, err)
			require.Equal(t, "a", o.Name)
			n++
			break
		}
		require.Equal(t, 1, n)
	}
	require.NoError(t, t.Delete(t.Context(), "b"))
	t.lists("", "", "a", "c")
	n := 0
	for _, err := range list {
		require.NoError(t, err)
		n++
	}
	require.GreaterOrEqual(t, n, 2)
}

func (t *remoteTest) stays() {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("d/%02d", i), fmt.Sprintf("d/%02d/x", i))
	}
	slices.Sort(names)
	t.puts(names...)
	t.lists("", "", names...)
	var seen []string
	for o, err := range t.List(t.Context(), "", "") {
		require.NoError(t, err)
		seen = append(seen, o.Name)
		if i := slices.Index(names, o.Name); i >= 0 && i%2 == 0 {
			require.NoError(t, t.Delete(t.Context(), o.Name)) // those before others
			t.puts(o.Name + "-new")
		}
		if n := len(seen); n%4 == 0 {
			t.puts(fmt.Sprintf("a/%d", n), fmt.Sprintf("z/%d", n))
		}
	}
	require.True(t, slices.IsSorted(seen))
	require.Len(t, slices.Compact(slices.Clone(seen)), len(seen), "something is there twice")
	for i, name := range names {
		require.True(t, i%2 == 0 || slices.Contains(seen, name), "%s is missing", name)
	}
}

func (t *remoteTest) deletes() {
	t.puts("d/one", "d/one/more", "d/two")
	for _, name := range []string{"d/one", "d/one", "never", "d", "d/one/more/deep"} {
		require.NoError(t, t.Delete(t.Context(), name), name)
	}
	t.gone("d/one")
	t.has("d/two", "d/two")
	t.has("d/one/more", "d/one/more")
}

func (t *remoteTest) putsAgain() {
	for i := range 3 {
		content := fmt.Sprint("content ", i)
		require.NoError(t, t.put("d/one", content))
		t.has("d/one", content)
		require.NoError(t, t.Delete(t.Context(), "d/one"))
	}
}

func (t *remoteTest) shows() {
	for _, name := range []string{"d/one", "d/e/two", "three"} {
		t.puts(name)
		t.lists("", "", name)
		require.NoError(t, t.Delete(t.Context(), name))
		t.lists("", "")
	}
}

func (t *remoteTest) ended() {
	t.puts("one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, t.PutIfAbsent(ctx, "two", strings.NewReader("two")), context.Canceled)
	require.ErrorIs(t, t.Delete(ctx, "one"), context.Canceled)
	_, err := read(ctx, t.Remote, "one", 0, -1)
	require.ErrorIs(t, err, context.Canceled)
	n := 0
	for _, err := range t.List(ctx, "", "") {
		require.ErrorIs(t, err, context.Canceled)
		n++
	}
	require.Equal(t, 1, n, "the list ends without an error")
	t.has("one", "one")
	t.gone("two")
}

// body is one that calls at before it is read at half of it or behind.
type body struct {
	*bytes.Reader
	size int64
	at   func() error
}

func (b body) Size() int64 { return b.size }

func (b body) ReadAt(p []byte, off int64) (int, error) {
	if b.at != nil && off+int64(len(p)) > b.size/2 {
		if err := b.at(); err != nil {
			return 0, err
		}
	}
	return b.Reader.ReadAt(p, off)
}

func (t *remoteTest) cancelled() {
	content := noise(1, 8<<20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := t.PutIfAbsent(ctx, "d/one", body{bytes.NewReader([]byte(content)), int64(len(content)), func() error { cancel(); return nil }})
	require.ErrorIs(t, err, context.Canceled)
	t.gone("d/one")
	require.NoError(t, t.put("d/one", "new"))
	t.has("d/one", "new")
}

func (t *remoteTest) readEnds() {
	require.NoError(t, t.put("one", noise(1, 8<<20)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := t.Get(ctx, "one", 0, -1)
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 1000))
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, context.Canceled)
	_ = r.Close()
}

func (t *remoteTest) short() {
	for _, n := range []int{0, 1, 1000, 3 << 20} {
		require.Error(t, t.PutIfAbsent(t.Context(), "d/one", body{bytes.NewReader(make([]byte, n)), int64(n) + 1, nil}), "%d", n)
		t.gone("d/one")
		t.lists("", "")
	}
	require.NoError(t, t.put("d/one", "new"))
}

func (t *remoteTest) broken() {
	broken := errors.New("no more")
	for _, n := range []int{1, 1000, 3 << 20} {
		err := t.PutIfAbsent(t.Context(), "d/one", body{bytes.NewReader(make([]byte, n)), int64(n), func() error { return broken }})
		require.ErrorIs(t, err, broken, "%d", n)
		t.gone("d/one")
		t.lists("", "")
	}
	require.NoError(t, t.put("d/one", "new"))
	t.has("d/one", "new")
}
