// Package blake2b computes BLAKE2b-512, the hash that minisign signs, as in
// RFC 7693, without a key.
package blake2b

import (
	"encoding/binary"
	"hash"
	"math/bits"
)

const (
	// Size is the length of a sum in bytes.
	Size = 64
	// BlockSize is the number of bytes that are compressed at once.
	BlockSize = 128
)

// iv are the first words of the hash, those of SHA-512.
var iv = [8]uint64{
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

// sigma is the order in which each round takes the words of a block. Rounds 10
// and 11 are like rounds 0 and 1.
var sigma = [10][16]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}

// New returns a hash.Hash that computes BLAKE2b-512.
func New() hash.Hash {
	d := new(digest)
	d.Reset()
	return d
}

type digest struct {
	h      [8]uint64
	length uint64          // bytes compressed; an artifact has no 2^64
	block  [BlockSize]byte // not compressed yet: the last block is another one
	filled int
}

func (d *digest) Size() int      { return Size }
func (d *digest) BlockSize() int { return BlockSize }

func (d *digest) Reset() {
	*d = digest{h: iv}
	d.h[0] ^= 1<<24 | 1<<16 | Size // fan-out, depth and length of the sum
}

func (d *digest) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if d.filled == BlockSize {
			d.length += BlockSize
			d.compress(&d.block, 0)
			d.filled = 0
		}
		// A whole block that is not the last needs no copy.
		for d.filled == 0 && len(p) > BlockSize {
			d.length += BlockSize
			d.compress((*[BlockSize]byte)(p), 0)
			p = p[BlockSize:]
		}
		copied := copy(d.block[d.filled:], p)
		d.filled += copied
		p = p[copied:]
	}
	return n, nil
}

func (d *digest) Sum(b []byte) []byte {
	last := *d // the caller may go on writing
	clear(last.block[last.filled:])
	last.length += uint64(last.filled)
	last.compress(&last.block, ^uint64(0))
	for _, word := range last.h {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}

// compress mixes a block into h. final has all bits set for the last one.
func (d *digest) compress(block *[BlockSize]byte, final uint64) {
	var m [16]uint64
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(block[8*i:])
	}
	var v [16]uint64
	copy(v[:8], d.h[:])
	copy(v[8:], iv[:])
	v[12] ^= d.length
	v[14] ^= final
	for round := range 12 {
		s := &sigma[round%10]
		mix(&v[0], &v[4], &v[8], &v[12], m[s[0]&15], m[s[1]&15])
		mix(&v[1], &v[5], &v[9], &v[13], m[s[2]&15], m[s[3]&15])
		mix(&v[2], &v[6], &v[10], &v[14], m[s[4]&15], m[s[5]&15])
		mix(&v[3], &v[7], &v[11], &v[15], m[s[6]&15], m[s[7]&15])
		mix(&v[0], &v[5], &v[10], &v[15], m[s[8]&15], m[s[9]&15])
		mix(&v[1], &v[6], &v[11], &v[12], m[s[10]&15], m[s[11]&15])
		mix(&v[2], &v[7], &v[8], &v[13], m[s[12]&15], m[s[13]&15])
		mix(&v[3], &v[4], &v[9], &v[14], m[s[14]&15], m[s[15]&15])
	}
	for i := range d.h {
		d.h[i] ^= v[i] ^ v[i+8]
	}
}

// mix is the function G of the RFC.
func mix(a, b, c, d *uint64, x, y uint64) {
	*a += *b + x
	*d = bits.RotateLeft64(*d^*a, -32)
	*c += *d
	*b = bits.RotateLeft64(*b^*c, -24)
	*a += *b + y
	*d = bits.RotateLeft64(*d^*a, -16)
	*c += *d
	*b = bits.RotateLeft64(*b^*c, -63)
}
