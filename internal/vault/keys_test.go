package vault_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

func rotated(t testing.TB, k *vault.Keys) *vault.Keys {
	t.Helper()
	k, err := k.Rotate()
	require.NoError(t, err)
	return k
}

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	for _, k := range []*vault.Keys{vault.NewKeys(), rotated(t, rotated(t, vault.NewKeys()))} {
		again, err := vault.ParseKeys(k.Bytes())
		require.NoError(t, err)
		require.Equal(t, k.Bytes(), again.Bytes())
		require.True(t, k.Equal(again))
		require.False(t, k.Equal(rotated(t, k)))
		require.False(t, k.Equal(vault.NewKeys()))
		require.Equal(t, k.Repository(), again.Repository())
		require.Equal(t, k.Epoch(), again.Epoch())
		require.Equal(t, k.ChunkSeed(), again.ChunkSeed())
		content, err := again.Open(note, "a", k.Seal(note, "a", []byte("content")), 10)
		require.NoError(t, err)
		require.Equal(t, "content", string(content))
	}
}

func TestWhatAreNoKeysIsRefused(t *testing.T) {
	good := vault.NewKeys().Bytes()
	for why, text := range map[string][]byte{
		"nothing":        nil,
		"another form":   append([]byte{2}, good[1:]...),
		"no key":         good[:17],
		"half a key":     good[:40],
		"a bit more":     append(bytes.Clone(good), 1),
		"a key of zeros": append(bytes.Clone(good), make([]byte, 32)...),
		"too many":       append(bytes.Clone(good), bytes.Repeat([]byte{1}, 255*32)...),
	} {
		_, err := vault.ParseKeys(text)
		require.ErrorIs(t, err, vault.ErrCorrupt, why)
	}
}

func TestAnIDIsOfTheContentAndOfTheKeys(t *testing.T) {
	k, other := vault.NewKeys(), vault.NewKeys()
	seen := make(map[[32]byte]bool)
	for _, c := range [][]byte{nil, {0}, []byte("a"), []byte("b"), noise(1, 1<<20)} {
		id := k.ID(c)
		require.Equal(t, id, k.ID(bytes.Clone(c)))
		seen[id], seen[other.ID(c)] = true, true
	}
	seen[k.ChunkSeed()], seen[other.ChunkSeed()] = true, true
	require.Len(t, seen, 12, "none is like another")
}

func TestALaterKeyChangesNoIDAndOpensWhatWasSealedBefore(t *testing.T) {
	old := vault.NewKeys()
	k := rotated(t, old)
	require.Equal(t, old.ID([]byte("a")), k.ID([]byte("a")))
	require.Equal(t, old.ChunkSeed(), k.ChunkSeed())
	require.Equal(t, old.Repository(), k.Repository())

	before, after := old.Seal(note, "a", []byte("1")), k.Seal(note, "a", []byte("2"))
	for epoch, object := range map[uint32][]byte{1: before, 2: after} {
		_, err := k.Open(note, "a", object, 1)
		require.NoError(t, err)
		h, err := vault.ReadHeader(object)
		require.NoError(t, err)
		require.Equal(t, epoch, h.Epoch())
	}
	_, err := old.Open(note, "a", after, 1)
	require.ErrorIs(t, err, vault.ErrEpoch)
	require.ErrorIs(t, err, vault.ErrCorrupt, "as long as nobody knows that key")
	_, err = rotated(t, old).Open(note, "a", after, 1)
	require.ErrorIs(t, err, vault.ErrCorrupt, "another second key")
	require.NotErrorIs(t, err, vault.ErrEpoch)
}

func TestKeysAreRotated254Times(t *testing.T) {
	k := vault.NewKeys()
	for range 254 {
		k = rotated(t, k)
	}
	_, err := k.Rotate()
	require.ErrorContains(t, err, "255 master keys")
	again, err := vault.ParseKeys(k.Bytes())
	require.NoError(t, err)
	require.True(t, k.Equal(again))
}

func TestNoKeyGetsIntoALog(t *testing.T) {
	k := vault.NewKeys()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", k)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("", "keys", k)
	}
	id := k.Repository()
	require.Contains(t, b.String(), fmt.Sprintf("vault keys of %x, epoch 1", id[:4]))
	for n := 17; n+4 <= len(k.Bytes()); n++ {
		for _, form := range []string{"%x", "%d", "%s", "%X"} {
			require.NotContains(t, b.String(), fmt.Sprintf(form, k.Bytes()[n:n+4]))
		}
	}
	require.Less(t, b.Len(), 1_000, b.String())
}
