package dir_test

import (
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/dir"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// opened is a Remote in a directory, closed at the end.
func opened(t testing.TB, path string) *dir.Remote {
	t.Helper()
	r, err := dir.Open(dir.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func TestRemote(t *testing.T) {
	for _, way := range []string{"by links", "by renames"} {
		t.Run(way, func(t *testing.T) {
			open := opened
			if way == "by renames" {
				open = renaming
			}
			paths := map[cloudsync.Remote]string{}
			syncertest.RunRemote(t, syncertest.RemoteHarness{
				Open: func(t testing.TB) cloudsync.Remote {
					path := t.TempDir()
					r := open(t, path)
					paths[r] = path
					return r
				},
				Again:    func(t testing.TB, first cloudsync.Remote) cloudsync.Remote { return open(t, paths[first]) },
				RealTime: true,
			})
		})
	}
}

// renaming is a Remote on a file system without links.
func renaming(t testing.TB, path string) *dir.Remote {
	t.Helper()
	root, err := os.OpenRoot(path)
	require.NoError(t, err)
	r, err := dir.Renaming(root)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func TestAnObjectIsNotHeldInMemory(t *testing.T) {
	const size = 64 << 20
	r := opened(t, t.TempDir())
	before := allocated()
	require.NoError(t, r.PutIfAbsent(t.Context(), "big", zeros(size)))
	in, err := r.Get(t.Context(), "big", 0, -1)
	require.NoError(t, err)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, make([]byte, 64<<10))
	require.NoError(t, err)
	require.NoError(t, in.Close())
	require.EqualValues(t, size, n)
	require.Less(t, allocated()-before, uint64(4<<20))
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// zeros is a body of so many of them.
type zeros int64

func (z zeros) Size() int64 { return int64(z) }

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAnyNamesAreListedInOrder(t *testing.T) {
	r := opened(t, t.TempDir())
	parts := []string{"a", "a-", "a.", "a0", "-", "_", "..a", ".", "..", "b", strings.Repeat("x", 199), strings.Repeat("x", 200), strings.Repeat("x", 201)}
	some := func() string {
		name := parts[rand.IntN(len(parts))]
		for range rand.IntN(4) {
			name += []string{"/", "/", "/", "", "."}[rand.IntN(5)] + parts[rand.IntN(len(parts))]
		}
		return name
	}
	var names []string
	for range 300 {
		name := some()
		err := r.PutIfAbsent(t.Context(), name, zeros(0))
		switch {
		case cloudsync.CheckName(name) != nil:
			require.ErrorIs(t, err, cloudsync.ErrInvalid)
		case slices.Contains(names, name):
			require.ErrorIs(t, err, cloudsync.ErrExists)
		default:
			require.NoError(t, err)
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i := range 300 {
		prefix, after := some(), some()
		prefix = prefix[:rand.IntN(len(prefix)+1)]
		if i == 0 {
			prefix, after = "", ""
		}
		var got, want []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) && name > after {
				want = append(want, name)
			}
		}
		for o, err := range r.List(t.Context(), prefix, after) {
			require.NoError(t, err)
			got = append(got, o.Name)
		}
		require.Equal(t, want, got, "prefix %q, after %q", prefix, after)
	}
}
