package vault_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

func TestAPackHasItsBlobs(t *testing.T) {
	k := vault.NewKeys()
	h, blobs, all := pack(t, k, contents()...)
	u, err := k.NewUnpacker(h)
	require.NoError(t, err)
	buf := []byte("before")
	for i, c := range contents() {
		b := blobs[i]
		require.Equal(t, k.ID(c), b.ID)
		require.Equal(t, len(c), b.Size)
		got, err := u.Open(nil, b, of(all, b))
		require.NoError(t, err)
		require.True(t, bytes.Equal(c, got))
		if buf, err = u.Open(buf[:6], b, of(all, b)); err == nil {
			require.True(t, bytes.Equal(append([]byte("before"), c...), buf), "it is appended")
		}
		require.NoError(t, err)
	}
	header, listed, err := footer(k, all)
	require.NoError(t, err)
	require.Equal(t, h, header)
	require.Equal(t, blobs, listed)

	_, _, none := pack(t, k)
	_, listed, err = footer(k, none)
	require.NoError(t, err)
	require.Empty(t, listed)
}

func TestAPackerTellsHowLongThePackWillBe(t *testing.T) {
	k := vault.NewKeys()
	for _, n := range []int{0, 1, 5, 20, len(contents())} {
		p := k.NewPacker(nil)
		for _, c := range contents()[:n] {
			_, err := p.Add(k.ID(c), c)
			require.NoError(t, err)
		}
		length := p.Len()
		all, err := p.Finish()
		require.NoError(t, err)
		require.Len(t, all, length)
		require.Zero(t, p.Len())
	}
}

func TestAPackerIsUsedOnce(t *testing.T) {
	k := vault.NewKeys()
	p := k.NewPacker(nil)
	_, err := p.Add(k.ID(nil), nil)
	require.NoError(t, err)
	all, err := p.Finish()
	require.NoError(t, err)
	before := bytes.Clone(all)
	_, err = p.Add(k.ID(nil), nil)
	require.ErrorContains(t, err, "finished")
	again, err := p.Finish()
	require.ErrorContains(t, err, "finished")
	require.Nil(t, again)
	require.Equal(t, before, all)
}

func TestAPackIsFullAtSomeTime(t *testing.T) {
	k := vault.NewKeys()
	p := k.NewPacker(nil)
	p.Have(vault.MaxBlobs - 1)
	_, err := p.Add(k.ID(nil), nil)
	require.NoError(t, err)
	_, err = p.Add(k.ID(nil), nil)
	require.ErrorContains(t, err, "full")
}

func TestAPackUsesTheMemoryOfAnEarlierOne(t *testing.T) {
	k := vault.NewKeys()
	buf := make([]byte, 0, 4<<20)
	all := [][]byte{prose(1, 1<<20), noise(1, 1<<20), prose(2, 100)}
	var sum [sha256.Size]byte
	for range 3 {
		p := k.NewPacker(buf)
		for _, c := range all {
			_, err := p.Add(k.ID(c), c)
			require.NoError(t, err)
		}
		got, err := p.Finish()
		require.NoError(t, err)
		require.Same(t, &buf[:1][0], &got[0])
		require.NotEqual(t, sum, sha256.Sum256(got), "under another key")
		sum = sha256.Sum256(got)
		_, blobs, err := footer(k, got)
		require.NoError(t, err)
		require.Len(t, blobs, 3)
	}
}

func TestNoKeyStreamOfAPackIsUsedTwice(t *testing.T) {
	k := vault.NewKeys()
	a, b := noise(1, 1_000), noise(2, 1_000)
	_, blobs, first := pack(t, k, a, b, a)
	_, others, second := pack(t, k, a, a, b)
	var bodies, plain [][]byte
	for i := range blobs {
		bodies = append(bodies, of(first, blobs[i])[:1_000], of(second, others[i])[:1_000])
	}
	plain = [][]byte{a, a, b, a, a, b}
	for i := range bodies {
		for j := range i {
			require.NotEqual(t, xor(plain[i], plain[j]), xor(bodies[i], bodies[j]), "%d and %d", i, j)
		}
	}
	list := first[blobs[2].Offset+blobs[2].Length:] // the footer, at the offset of a blob of another pack
	require.NotEqual(t, blobs[0].ID[:], list[1:33])
}

func TestABlobOpensWhereItIsOnly(t *testing.T) {
	k := vault.NewKeys()
	a, b := noise(1, 100), noise(2, 100)
	h, blobs, all := pack(t, k, a, b, a)
	other, others, _ := pack(t, k, a, b, a)
	got, err := blob(t, k, h, blobs[2], of(all, blobs[2]))
	require.NoError(t, err)
	require.Equal(t, a, got)
	refused := func(why string, h vault.Header, b vault.Blob, sealed []byte) {
		t.Helper()
		got, err := blob(t, k, h, b, sealed)
		require.ErrorIs(t, err, vault.ErrCorrupt, why)
		require.Nil(t, got)
	}
	refused("in another pack", other, blobs[0], of(all, blobs[0]))
	refused("in another pack, by its own list", other, others[0], of(all, blobs[0]))
	refused("in another place", h, blobs[0], of(all, blobs[2]))
	refused("by another name", h, vault.Blob{ID: blobs[1].ID, Offset: blobs[0].Offset, Length: blobs[0].Length, Size: 100}, of(all, blobs[0]))
	for _, change := range []vault.Blob{{Size: 1}, {Size: -1}, {Size: -200}, {Size: 1 << 30}, {Size: vault.MaxBlob}, {Length: 1}, {Length: -1}, {Offset: 1}, {Offset: -1}, {Offset: -100}} {
		b := blobs[0]
		b.Offset, b.Length, b.Size = b.Offset+change.Offset, b.Length+change.Length, b.Size+change.Size
		refused("otherwise", h, b, of(all, blobs[0]))
	}
	damaged(of(all, blobs[0]), func(bad []byte, how string) {
		refused(how, h, blobs[0], bad)
		b := blobs[0]
		b.Length = len(bad)
		refused(how, h, b, bad)
	})
	for i := range h {
		bad := h
		bad[i] ^= 1
		u, err := k.NewUnpacker(bad)
		if err == nil {
			_, err = u.Open(nil, blobs[0], of(all, blobs[0]))
		}
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
	u, err := vault.NewKeys().NewUnpacker(h)
	require.NoError(t, err)
	_, err = u.Open(nil, blobs[0], of(all, blobs[0]))
	require.ErrorIs(t, err, vault.ErrCorrupt, "of another repository")
}

func TestABlobThatShrankHasOneSize(t *testing.T) {
	k := vault.NewKeys()
	c := prose(1, 10_000)
	h, blobs, all := pack(t, k, c)
	for _, size := range []int{10_000, 9_999, 10_001, blobs[0].Length - 16, blobs[0].Length - 17, 1 << 20} {
		b := blobs[0]
		b.Size = size
		got, err := blob(t, k, h, b, of(all, b))
		if size == 10_000 {
			require.NoError(t, err)
			require.Equal(t, c, got)
			continue
		}
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
}

func TestABlobHasTheNameOfItsContent(t *testing.T) {
	k := vault.NewKeys()
	p := k.NewPacker(nil)
	b, err := p.Add(k.ID([]byte("a")), []byte("b"))
	require.NoError(t, err)
	all, err := p.Finish()
	require.NoError(t, err)
	_, err = blob(t, k, p.Header(), b, of(all, b))
	require.ErrorIs(t, err, vault.ErrCorrupt)
	require.ErrorContains(t, err, "another name")
}

func TestABlobThatIsTooLargeIsRefused(t *testing.T) {
	k := vault.NewKeys()
	p := k.NewPacker(nil)
	_, err := p.Add([32]byte{}, make([]byte, vault.MaxBlob+1))
	require.ErrorContains(t, err, "at most")
	c := make([]byte, vault.MaxBlob)
	b, err := p.Add(k.ID(c), c)
	require.NoError(t, err)
	all, err := p.Finish()
	require.NoError(t, err)
	got, err := blob(t, k, p.Header(), b, of(all, b))
	require.NoError(t, err)
	require.True(t, bytes.Equal(c, got))
}
