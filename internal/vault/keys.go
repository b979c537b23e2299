// Package vault seals what is kept in a store that nobody trusts: objects, packs
// of blobs, and the keys to both, which open by a passphrase. It is bytes in and
// bytes out, and knows no store, no disk and no clock. Who has the store sees how
// many objects there are, and of which sizes, and no more; he can withhold and
// bring back what was put, but make nothing that opens.
//
// Read keys.go, slot.go and object.go, then pack.go and unpack.go.
package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
)

var (
	// ErrCorrupt reports bytes that are not what was sealed, or not what was
	// sealed as what they are opened for.
	ErrCorrupt = errors.New("vault: damaged object")
	// ErrEpoch is the ErrCorrupt of what was sealed, or so it says, under a later
	// master key than these Keys have. Another slot may have that key.
	ErrEpoch = fmt.Errorf("%w: its key is a later one", ErrCorrupt)
	// ErrPassphrase reports a passphrase that does not open a slot.
	ErrPassphrase = errors.New("vault: wrong passphrase")
)

const (
	keySize    = 32
	maxMasters = 255
	keysForm   = 1 // the first byte of Keys.Bytes
)

type (
	master     [keySize]byte
	repository [16]byte
)

// Keys seal and open all objects of a repository. They are safe for concurrent
// use.
type Keys struct {
	repository repository
	masters    []master // by epoch, the first of which is 1
	idKey      []byte
	chunkSeed  [keySize]byte
	random     io.Reader
	hashers    sync.Pool // of *hasher
	codecs     sync.Pool // of *codec
}

// hasher computes ids.
type hasher struct {
	hash.Hash
	sum [sha256.Size]byte
}

// NewKeys returns the keys of a new repository, with a master key of epoch 1.
func NewKeys() *Keys { return newKeys(rand.Reader) }

func newKeys(random io.Reader) *Keys {
	var r repository
	var m master
	draw(random, r[:])
	draw(random, m[:])
	return keysOf(random, r, []master{m})
}

func keysOf(random io.Reader, r repository, masters []master) *Keys {
	return &Keys{
		repository: r, masters: masters, random: random,
		idKey:     derive(masters[0], nil, r, "content id"),
		chunkSeed: [keySize]byte(derive(masters[0], nil, r, "chunk seed")),
	}
}

// ParseKeys reads what Bytes has written.
func ParseKeys(text []byte) (*Keys, error) {
	if len(text) == 0 || text[0] != keysForm {
		return nil, fmt.Errorf("%w: these are no keys", ErrCorrupt)
	}
	var r repository
	rest := text[1:]
	n := (len(rest) - len(r)) / keySize
	if n < 1 || n > maxMasters || len(rest) != len(r)+n*keySize {
		return nil, fmt.Errorf("%w: keys of %d bytes", ErrCorrupt, len(text))
	}
	rest = rest[copy(r[:], rest):]
	var masters []master
	for m := range slices.Chunk(rest, keySize) {
		masters = append(masters, master(m))
	}
	if slices.Contains(masters, master{}) {
		return nil, fmt.Errorf("%w: a key of zeros", ErrCorrupt)
	}
	return keysOf(rand.Reader, r, masters), nil
}

// Bytes are the keys as they are, in one form: who reads them can open
// everything.
func (k *Keys) Bytes() []byte {
	b := append([]byte{keysForm}, k.repository[:]...)
	for _, m := range k.masters {
		b = append(b, m[:]...)
	}
	return b
}

// Repository is the random number of the repository. It is no secret.
func (k *Keys) Repository() [16]byte { return k.repository }

// Epoch numbers the master key by which k seals, from 1.
func (k *Keys) Epoch() uint32 { return uint32(len(k.masters)) }

// ID names content. It depends on the first master key, so that nobody without
// it can tell what has a name, and later ones do not change it.
func (k *Keys) ID(content []byte) [32]byte {
	h, ok := k.hashers.Get().(*hasher)
	if !ok {
		h = &hasher{Hash: hmac.New(sha256.New, k.idKey)}
	}
	defer k.hashers.Put(h)
	h.Reset()
	h.Write(content)
	h.Sum(h.sum[:0])
	return h.sum
}

// ChunkSeed is what boundaries of chunks are to depend on, so that the sizes of
// chunks tell nobody what they are chunks of. It never changes.
func (k *Keys) ChunkSeed() [32]byte { return k.chunkSeed }

// Format implements fmt.Formatter: no key gets into a log.
func (k *Keys) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "vault keys of %x, epoch %d", k.repository[:4], len(k.masters))
}

// cipher returns the cipher of what a header begins.
func (k *Keys) cipher(h Header, purpose string) (cipher.AEAD, error) {
	switch epoch := h.Epoch(); {
	case !bytes.HasPrefix(h[:], []byte(magic)) || epoch == 0:
		return nil, fmt.Errorf("%w: it does not begin as one", ErrCorrupt)
	case epoch > k.Epoch():
		return nil, fmt.Errorf("%w: %d, and the latest known is %d", ErrEpoch, epoch, k.Epoch())
	default:
		return gcm(derive(k.masters[epoch-1], h[:], k.repository, purpose)), nil
	}
}

// derive makes a key of a master key, which is another one for each salt,
// repository and purpose.
func derive(m master, salt []byte, r repository, purpose string) []byte {
	return must(hkdf.Key(sha256.New, m[:], salt, "upkeep vault 1\x00"+string(r[:])+purpose, keySize))
}

func draw(random io.Reader, b []byte) { must(io.ReadFull(random, b)) }

// must is for what fails only if it is called in a wrong way.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
