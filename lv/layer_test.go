package lv_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// requireLayer compares a layer with a map, from every id and between them.
func requireLayer(t *testing.T, want map[string]lv.VersionID, l lv.Layer, asked ...string) {
	t.Helper()
	ids := slices.Sorted(maps.Keys(want))
	require.Equal(t, ids, l.After(""))
	for _, id := range append(asked, ids...) {
		version, ok := l.Find(id)
		wanted, there := want[id]
		require.Equal(t, there, ok, id)
		require.Equal(t, wanted, version, id)
		after, _ := slices.BinarySearchFunc(ids, id, func(a, b string) int {
			if a <= b {
				return -1
			}
			return 1
		})
		require.Equal(t, slices.Clip(append([]string(nil), ids[after:]...)), l.After(id), "after %q", id)
	}
}

// Few bits of the hash crowd rows into few shards, and make hashes the same.
var masks = map[string]uint64{"all bits": ^uint64(0), "three bits": 7, "the bits of the shard": 0xff << 32, "none": 0}

func TestALayerIsAMapThatIsSorted(t *testing.T) {
	for name, mask := range masks {
		t.Run(name, func(t *testing.T) {
			seed := uint64(1)
			random := rand.New(rand.NewPCG(seed, 1))
			l, want := lv.NewLayer(mask, nil), map[string]lv.VersionID{}
			for step := range 600 {
				id := fmt.Sprint(random.IntN(60))
				if random.IntN(5) < 2 {
					l = l.Without(id)
					delete(want, id)
				} else {
					l = l.With(lv.VersionID(step), id)
					want[id] = lv.VersionID(step)
				}
				if step%20 == 0 {
					requireLayer(t, want, l, id, "x")
				}
			}
			for id := range maps.Clone(want) {
				l = l.Without(id)
				delete(want, id)
			}
			requireLayer(t, want, l, "1")
		})
	}
}

func TestALayerIsBuiltAtOnce(t *testing.T) {
	for name, mask := range masks {
		for _, n := range []int{0, 1, 2, 33, 1000} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				want := map[string]lv.VersionID{}
				for i := range n {
					want[fmt.Sprintf("%04d", i)] = 0
				}
				l := lv.NewLayer(mask, slices.Sorted(maps.Keys(want)))
				if n <= 33 {
					requireLayer(t, want, l, "0000x", "z", "")
				}
				l = l.With(7, "0500x").Without("0000")
				want["0500x"] = 7
				delete(want, "0000")
				require.Equal(t, slices.Sorted(maps.Keys(want)), l.After(""))
			})
		}
	}
}

func TestALayerNeverChanges(t *testing.T) {
	for name, mask := range masks {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(2, 2))
			type state struct {
				l    lv.Layer
				want map[string]lv.VersionID
			}
			states := []state{{lv.NewLayer(mask, []string{"a", "b"}), map[string]lv.VersionID{"a": 0, "b": 0}}}
			for step := range 200 {
				from := states[random.IntN(len(states))]
				next := state{from.l, maps.Clone(from.want)}
				id := fmt.Sprint(random.IntN(20))
				if random.IntN(3) == 0 {
					next.l = next.l.Without(id)
					delete(next.want, id)
				} else {
					next.l = next.l.With(lv.VersionID(step), id)
					next.want[id] = lv.VersionID(step)
				}
				states = append(states, next)
			}
			for _, s := range states {
				requireLayer(t, s.want, s.l)
			}
		})
	}
}

func TestALayerOfManyRowsKeepsItsOrderWhileRowsComeAndGo(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	l, want := lv.NewLayer(^uint64(0), nil), map[string]bool{}
	for range 4000 {
		id := fmt.Sprintf("%05d", random.IntN(3000))
		if random.IntN(3) == 0 {
			l = l.Without(id)
			delete(want, id)
		} else {
			l = l.With(0, id)
			want[id] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), l.After(""))
}

func TestManyRowsAtOnceCostNoMoreThanACopyOfThemAll(t *testing.T) {
	ids := make([]string, 20_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("%05d", (i*7919)%len(ids)) // in no order
	}
	half := lv.NewLayer(^uint64(0), nil).With(1, ids[:10_000]...)
	before := half.After("")
	require.True(t, slices.IsSorted(before))
	require.Len(t, before, 10_000)

	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	whole := half.With(2, ids[5_000:]...)
	rest := whole.Without(ids[:19_000]...)
	runtime.ReadMemStats(&end)
	require.Less(t, end.TotalAlloc-start.TotalAlloc, uint64(100<<20))

	require.Equal(t, slices.Sorted(slices.Values(ids)), whole.After(""))
	require.Equal(t, slices.Sorted(slices.Values(ids[19_000:])), rest.After(""))
	require.Equal(t, before, half.After(""), "what readers have stays")
	v, _ := whole.Find(ids[5_000])
	require.Equal(t, lv.VersionID(2), v)
	_, there := rest.Find(ids[0])
	require.False(t, there)
}
