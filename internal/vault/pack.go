package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Limits of packs, for who writes one and who reads one.
const (
	MaxBlob  = 64 << 20 // bytes of content
	MaxBlobs = 1 << 18  // in a pack
	MaxPack  = 1 << 30  // bytes
)

const (
	packPurpose = "pack"
	blobNonce   = 0
	footerNonce = 1
	lengthSize  = 4
)

// Blob is where content is in a pack.
type Blob struct {
	ID             [32]byte // of its content
	Offset, Length int      // of what is sealed, in bytes of the pack
	Size           int      // of its content
}

// A pack is a header, blobs, each sealed by itself, the footer, which lists them,
// and the footer's length. All are sealed under one key, by the header, each with
// its offset as nonce: none is ever sealed twice, since a packer draws a header of
// its own and takes back nothing.

// Packer writes one pack. It is for one goroutine at a time, and used once.
type Packer struct {
	keys   *Keys
	seal   cipher.AEAD
	codec  *codec // until the pack is finished
	header Header
	pack   []byte
	footer []byte // without the count, which comes first
	blobs  uint64
	nonce  [nonceSize]byte
	done   bool
}

// errDone reports a call of a Packer that is used up.
var errDone = errors.New("vault: the pack is finished")

// NewPacker begins a pack in the memory of buf, whose content is lost: that of an
// earlier pack that is put by now, or nil. The pack takes more only if it grows
// beyond. Nothing is in it that is not sealed: somebody may still read there.
func (k *Keys) NewPacker(buf []byte) *Packer {
	h := k.header()
	return &Packer{keys: k, seal: must(k.cipher(h, packPurpose)), codec: k.codec(), header: h, pack: append(buf[:0], h[:]...)}
}

// Header is that of the pack, by which its blobs open.
func (p *Packer) Header() Header { return p.header }

// Len is how many bytes the pack has if it is finished now, and 0 once it is.
func (p *Packer) Len() int {
	if p.done {
		return 0
	}
	return len(p.pack) + len(binary.AppendUvarint(nil, p.blobs)) + len(p.footer) + tagSize + lengthSize
}

// Add seals content, whose ID is id, as the next blob.
func (p *Packer) Add(id [32]byte, content []byte) (Blob, error) {
	if p.done {
		return Blob{}, errDone
	}
	most := p.codec.most(len(content)) + tagSize
	switch {
	case len(content) > MaxBlob:
		return Blob{}, fmt.Errorf("vault: a blob of %d bytes, at most %d are allowed", len(content), MaxBlob)
	case p.blobs == MaxBlobs, p.Len()+most+keySize+2*binary.MaxVarintLen64 > MaxPack:
		return Blob{}, errors.New("vault: the pack is full")
	}
	start := len(p.pack)
	packed := p.codec.packed(content)
	p.footer = append(p.footer, id[:]...)
	as := p.footer[len(p.footer)-len(id):]
	p.pack = slices.Grow(p.pack, len(packed)+tagSize)
	p.pack = p.seal.Seal(p.pack, nonceOf(&p.nonce, blobNonce, start), packed, as)
	b := Blob{ID: id, Offset: start, Length: len(p.pack) - start, Size: len(content)}
	p.footer = binary.AppendUvarint(p.footer, uint64(b.Length))
	p.footer = binary.AppendUvarint(p.footer, uint64(b.Size))
	p.blobs++
	return b, nil
}

// Finish returns the pack, which the Packer forgets.
func (p *Packer) Finish() ([]byte, error) {
	if p.done {
		return nil, errDone
	}
	length := p.Len()
	start := len(p.pack)
	footer := append(binary.AppendUvarint(p.codec.scratch[:0], p.blobs), p.footer...)
	p.codec.scratch = footer
	pack := p.seal.Seal(slices.Grow(p.pack, length-start), nonceOf(&p.nonce, footerNonce, start), footer, nil)
	pack = binary.BigEndian.AppendUint32(pack, uint32(len(pack)-start))
	p.keys.release(p.codec)
	p.done, p.codec, p.pack, p.footer = true, nil, nil, nil
	return pack, nil
}

// nonceOf is that of what begins at an offset of a pack.
func nonceOf(b *[nonceSize]byte, what byte, offset int) []byte {
	b[0] = what
	binary.BigEndian.PutUint64(b[4:], uint64(offset))
	return b[:]
}
