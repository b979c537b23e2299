package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// NewKeysFrom draws from random what is drawn at random.
var NewKeysFrom = newKeys

// QuickSlot is Slot at next to no cost.
func (k *Keys) QuickSlot(passphrase, name string) ([]byte, error) {
	return k.slot(cost{memory: 8, passes: 1, threads: 1}, passphrase, name)
}

// Resum makes the sum of a slot right again, and tells what opening it costs: 0 if
// nothing, since it is refused.
func Resum(slot []byte) (resummed []byte, kib int) {
	if len(slot) < sumSize {
		return slot, 0
	}
	b := append([]byte(nil), slot[:len(slot)-sumSize]...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	s, err := parseSlot(b)
	if err != nil {
		return b, 0
	}
	return b, int(s.memory * s.passes)
}

// SealPacked is Seal for what says that it has a size and is packed as it is
// given: who has the keys may lie.
func (k *Keys) SealPacked(kind Kind, name string, size uint64, packed []byte) []byte {
	h := k.header()
	object := append(binary.AppendUvarint(h[:], size), packed...)
	return must(k.cipher(h, purposeOf(kind))).Seal(object[:headerSize:headerSize], make([]byte, nonceSize), object[headerSize:], bound(kind, name))
}

// PackOf is a pack with these bytes for blobs and this footer, as somebody may
// make one who has the keys.
func (k *Keys) PackOf(blobs, footer []byte) []byte {
	p := k.NewPacker(nil)
	pack := append(p.pack, blobs...)
	pack = append(pack, p.seal.Seal(nil, nonceOf(&p.nonce, footerNonce, len(pack)), footer, nil)...)
	return binary.BigEndian.AppendUint32(pack, uint32(len(footer)+tagSize))
}

// AddPacked is Add for what says that it is content of a size and is packed as it
// is given.
func (p *Packer) AddPacked(id [32]byte, size int, packed []byte) (Blob, []byte) {
	sealed := p.seal.Seal(nil, nonceOf(&p.nonce, blobNonce, len(p.pack)), packed, id[:])
	return Blob{ID: id, Offset: len(p.pack), Length: len(sealed), Size: size}, sealed
}

// Have makes it as if there were so many blobs.
func (p *Packer) Have(blobs uint64) { p.blobs = blobs }

// Rotate returns keys that have one master key more, by which they seal. They
// open what k opens, and have the same ids and boundaries of chunks.
func (k *Keys) Rotate() (*Keys, error) {
	if len(k.masters) == maxMasters {
		return nil, fmt.Errorf("vault: there are %d master keys, and no more can be", maxMasters)
	}
	var m master
	draw(k.random, m[:])
	return keysOf(k.random, k.repository, append(slices.Clone(k.masters), m)), nil
}

// Equal reports whether two are the same keys.
func (k *Keys) Equal(other *Keys) bool { return bytes.Equal(k.Bytes(), other.Bytes()) }
