package vault_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew: objects that exist may no longer open")

// bits are written in hexadecimal digits.
type bits []byte

func (b bits) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

func (b *bits) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// vectors are what was sealed once, and opens for ever.
type vectors struct {
	Keys       bits // of two epochs
	Repository bits
	ChunkSeed  bits
	Passphrase string
	SlotName   string
	Slot       bits // at a low cost
	Usual      bits // at the usual one
	Objects    []vector
	Pack       bits // has the contents of Objects
	Blobs      []vault.Blob
}

type vector struct {
	Epoch   uint32
	Kind    vault.Kind
	Name    string
	Content bits
	ID      bits
	Object  bits
}

// write makes vectors, the same ones each time as long as zstd makes the same.
func write(t *testing.T) (v vectors) {
	random := drawn()
	first := vault.NewKeysFrom(random)
	k := rotated(t, first)
	repository, seed := k.Repository(), k.ChunkSeed()
	v = vectors{Keys: k.Bytes(), Repository: repository[:], ChunkSeed: seed[:], Passphrase: "correct horse", SlotName: "Ann"}
	var err error
	v.Slot, err = k.QuickSlot(v.Passphrase, v.SlotName)
	require.NoError(t, err)
	v.Usual, err = k.Slot(v.Passphrase, v.SlotName)
	require.NoError(t, err)
	p := k.NewPacker(nil)
	for i, content := range [][]byte{{}, []byte("short"), noise(1, 300), bytes.Repeat([]byte("long "), 100)} {
		keys := []*vault.Keys{first, k}[i%2]
		o := vector{Epoch: keys.Epoch(), Kind: vault.Kind("kind " + string(rune('a'+i))), Name: "a/name", Content: content}
		id := k.ID(content)
		o.ID, o.Object = id[:], keys.Seal(o.Kind, o.Name, content)
		b, err := p.Add(id, content)
		require.NoError(t, err)
		v.Objects, v.Blobs = append(v.Objects, o), append(v.Blobs, b)
	}
	v.Pack, err = p.Finish()
	require.NoError(t, err)
	return v
}

func read(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &v))
	return v
}

func TestWhatWasSealedOnceOpensForEver(t *testing.T) {
	if *update {
		text, err := json.MarshalIndent(write(t), "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("testdata/vectors.json", append(text, '\n'), 0o644))
	}
	v := read(t)
	for _, slot := range [][]byte{v.Slot, v.Usual} {
		k, err := vault.OpenSlot(slot, v.Passphrase)
		require.NoError(t, err)
		require.Equal(t, []byte(v.Keys), k.Bytes())
		name, err := k.SlotName(slot)
		require.NoError(t, err)
		require.Equal(t, v.SlotName, name)
	}
	k, err := vault.ParseKeys(v.Keys)
	require.NoError(t, err)
	require.Equal(t, [16]byte(v.Repository), k.Repository())
	require.Equal(t, [32]byte(v.ChunkSeed), k.ChunkSeed())
	h, blobs, err := footer(k, v.Pack)
	require.NoError(t, err)
	require.Equal(t, v.Blobs, blobs)
	for i, o := range v.Objects {
		got, err := k.Open(o.Kind, o.Name, o.Object, len(o.Content))
		require.NoError(t, err)
		require.True(t, bytes.Equal(o.Content, got))
		require.Equal(t, [32]byte(o.ID), k.ID(o.Content))
		header, err := vault.ReadHeader(o.Object)
		require.NoError(t, err)
		require.Equal(t, o.Epoch, header.Epoch())
		got, err = blob(t, k, h, blobs[i], of(v.Pack, blobs[i]))
		require.NoError(t, err)
		require.True(t, bytes.Equal(o.Content, got))
	}
}

// TestTheSameIsSealedAlike: by the same random numbers. Another version of zstd may
// compress otherwise: what has not shrunk stays as it is.
func TestTheSameIsSealedAlike(t *testing.T) {
	v, again := read(t), write(t)
	last := len(v.Objects) - 1
	end := v.Blobs[last].Offset
	require.Equal(t, v.Pack[:end], again.Pack[:end])
	require.Equal(t, v.Objects[:last], again.Objects[:last])
	require.Equal(t, v.Objects[last].Object[:32], again.Objects[last].Object[:32])
	for _, rest := range []*vectors{&v, &again} {
		rest.Objects, rest.Blobs, rest.Pack = nil, nil, nil
	}
	require.Equal(t, v, again)
}
