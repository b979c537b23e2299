package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// Kind says what an object is. None opens as one of another kind.
type Kind string

// magic begins every object that is sealed: three letters, and the version of
// the format.
const magic = "upk\x01"

const (
	headerSize = 32
	tagSize    = 16
	nonceSize  = 12
)

// Header begins an object, in clear: the format, the epoch of its key, and a
// random salt, by which each object has a key of its own. The header of a pack
// opens its blobs.
type Header [headerSize]byte

// ReadHeader returns the header of an object, of which it needs the first 32
// bytes. Nobody vouches for it before something has been opened by it.
func ReadHeader(object []byte) (Header, error) {
	if len(object) < headerSize || string(object[:len(magic)]) != magic {
		return Header{}, fmt.Errorf("%w: it does not begin as one", ErrCorrupt)
	}
	return Header(object[:headerSize]), nil
}

// Epoch numbers the master key of the object. One of an earlier epoch than
// Keys.Epoch may be by somebody who was given no later key.
func (h Header) Epoch() uint32 { return binary.BigEndian.Uint32(h[len(magic):]) }

// header begins a new object.
func (k *Keys) header() (h Header) {
	n := copy(h[:], magic)
	binary.BigEndian.PutUint32(h[n:], k.Epoch())
	draw(k.random, h[n+4:])
	return h
}

// Seal returns content as an object that opens by its kind and its name only.
// It is another one each time, under another key.
func (k *Keys) Seal(kind Kind, name string, content []byte) []byte {
	h := k.header()
	c := k.codec()
	defer k.release(c)
	object := make([]byte, 0, headerSize+binary.MaxVarintLen64+c.most(len(content))+tagSize)
	object = binary.AppendUvarint(append(object, h[:]...), uint64(len(content)))
	object = c.pack(object, content)
	seal := must(k.cipher(h, purposeOf(kind)))
	return seal.Seal(object[:headerSize], make([]byte, nonceSize), object[headerSize:], bound(kind, name))
}

// Open returns the content of an object of a kind and a name. One that has more
// than so many bytes is ErrCorrupt before there is memory for them.
func (k *Keys) Open(kind Kind, name string, object []byte, most int) ([]byte, error) {
	h, err := ReadHeader(object)
	if err != nil {
		return nil, err
	}
	open, err := k.cipher(h, purposeOf(kind))
	if err != nil {
		return nil, err
	}
	sealed := object[headerSize:]
	if len(sealed)-binary.MaxVarintLen64-tagSize > most {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, most)
	}
	c := k.codec()
	defer k.release(c)
	c.scratch, err = open.Open(c.scratch[:0], make([]byte, nonceSize), sealed, bound(kind, name))
	if err != nil {
		return nil, fmt.Errorf("%w: this is no %s %q", ErrCorrupt, kind, name)
	}
	size, n := uvarint(c.scratch)
	if n == 0 || size > uint64(max(most, 0)) {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, most)
	}
	return c.unpack(nil, c.scratch[n:], int(size))
}

func purposeOf(kind Kind) string { return "object\x00" + string(kind) }

// bound is what an object is bound to, besides its header.
func bound(kind Kind, name string) []byte {
	b := binary.AppendUvarint(nil, uint64(len(kind)))
	return append(append(b, kind...), name...)
}

// uvarint reads a number in its one form, and how many bytes it has: none if it
// is none.
func uvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}

func gcm(key []byte) cipher.AEAD { return must(cipher.NewGCM(must(aes.NewCipher(key)))) }
