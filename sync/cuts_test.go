package sync_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// seeded is a Sealer that notes the sizes of contents.
type seeded struct {
	plain
	seed  byte
	sizes *[]int
}

func (s seeded) ChunkSeed() [32]byte { return [32]byte{s.seed} }

func (s seeded) NewPacker([]byte) cloudsync.Packer { return noting{new(plainPack), s.sizes} }

type noting struct {
	*plainPack
	sizes *[]int
}

func (n noting) Add(id [32]byte, content []byte) (cloudsync.Blob, error) {
	*n.sizes = append(*n.sizes, len(content))
	return n.plainPack.Add(id, content)
}

func TestOnlyTheKeysTellWhereAFileIsCut(t *testing.T) {
	large := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(large)
	cuts := func(seed byte) (sizes []int) {
		w := newWorld(t, 1)
		w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Sealer = seeded{seed: seed, sizes: &sizes} }
		w.devices[0].disk.write("large", string(large))
		w.must(w.devices[0])
		return sizes
	}
	require.Greater(t, len(cuts(1)), 3)
	require.Equal(t, cuts(1), cuts(1))
	require.NotEqual(t, cuts(1), cuts(2))
}
