package vault_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

const note vault.Kind = "note"

// noise does not shrink, and prose does.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func prose(seed byte, n int) []byte {
	var b bytes.Buffer
	words := strings.Fields("the of and a to in he have it that for they with as not on she at by this we you do but from or which one would all")
	for r := rand.New(rand.NewPCG(uint64(seed), 1)); b.Len() < n; {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(" ,.\n"[r.IntN(4)])
	}
	return b.Bytes()[:n]
}

// contents are of all sizes, some of which shrink.
var contents = sync.OnceValue(func() (all [][]byte) {
	for i, n := range []int{0, 1, 15, 100, 4 << 10, 5_000, 64<<10 - 1, 64 << 10, 300_000} {
		all = append(all, noise(byte(i), n), prose(byte(i), n), bytes.Repeat([]byte{byte(i)}, n))
	}
	return append(all, prose(1, 3<<20), slices.Concat(noise(1, 100<<10), prose(1, 100<<10)), slices.Concat(prose(1, 100<<10), noise(1, 100<<10)))
})

// damaged are all bytes that differ from good in one bit, and all of its
// beginnings.
func damaged(good []byte, use func(bad []byte, how string)) {
	for n := range good {
		use(slices.Clone(good[:n]), fmt.Sprintf("%d bytes of it", n))
		for bit := range 8 {
			bad := slices.Clone(good)
			bad[n] ^= 1 << bit
			use(bad, fmt.Sprintf("bit %d of byte %d", bit, n))
		}
	}
	use(append(slices.Clone(good), 0), "a byte more")
}

// drawn are the random bytes of keys that are the same each time.
func drawn() io.Reader { return rand.NewChaCha8([32]byte{7}) }

func xor(a, b []byte) []byte {
	c := make([]byte, min(len(a), len(b)))
	for i := range c {
		c[i] = a[i] ^ b[i]
	}
	return c
}

// pack makes a pack of contents.
func pack(t testing.TB, k *vault.Keys, contents ...[]byte) (vault.Header, []vault.Blob, []byte) {
	t.Helper()
	p := k.NewPacker(nil)
	var blobs []vault.Blob
	for _, c := range contents {
		b, err := p.Add(k.ID(c), c)
		require.NoError(t, err)
		blobs = append(blobs, b)
	}
	all, err := p.Finish()
	require.NoError(t, err)
	return p.Header(), blobs, all
}

// blob opens a blob of a pack.
func blob(t testing.TB, k *vault.Keys, h vault.Header, b vault.Blob, sealed []byte) ([]byte, error) {
	t.Helper()
	u, err := k.NewUnpacker(h)
	require.NoError(t, err)
	return u.Open(nil, b, sealed)
}

// of is what a pack has of a blob.
func of(pack []byte, b vault.Blob) []byte { return pack[b.Offset : b.Offset+b.Length] }

func footer(k *vault.Keys, pack []byte) (vault.Header, []vault.Blob, error) {
	return k.Footer(bytes.NewReader(pack), int64(len(pack)))
}
