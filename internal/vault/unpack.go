package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Unpacker opens the blobs of one pack. It is safe for concurrent use.
type Unpacker struct {
	keys *Keys
	open cipher.AEAD
}

// NewUnpacker returns one for the pack that has a header.
func (k *Keys) NewUnpacker(h Header) (*Unpacker, error) {
	open, err := k.cipher(h, packPurpose)
	if err != nil {
		return nil, err
	}
	return &Unpacker{k, open}, nil
}

// Open appends to dst the content of a blob, of which sealed is what the pack has
// at b.Offset. The two do not overlap. It has the ID that b says.
func (u *Unpacker) Open(dst []byte, b Blob, sealed []byte) ([]byte, error) {
	if !b.sound() || len(sealed) != b.Length {
		return nil, fmt.Errorf("%w: a blob of %d bytes in %d, not in %d", ErrCorrupt, b.Size, b.Length, len(sealed))
	}
	c := u.keys.codec()
	defer u.keys.release(c)
	start := len(dst)
	c.id = b.ID
	packed, err := u.open.Open(c.scratch[:0], nonceOf(&c.nonce, blobNonce, b.Offset), sealed, c.id[:])
	if err != nil {
		return nil, fmt.Errorf("%w: this is no blob of its pack", ErrCorrupt)
	}
	c.scratch = packed
	if dst, err = c.unpack(dst, packed, b.Size); err != nil {
		return nil, err
	}
	if u.keys.ID(dst[start:]) != b.ID {
		return nil, fmt.Errorf("%w: a blob has another name than its content", ErrCorrupt)
	}
	return dst, nil
}

// sound reports whether a Packer may have said so.
func (b Blob) sound() bool {
	return b.Offset >= headerSize && b.Length >= tagSize && b.Length <= MaxPack && b.Size <= MaxBlob && b.Length-tagSize <= b.Size
}

// Footer reads which blobs a pack of so many bytes has, by three reads, and its
// header.
func (k *Keys) Footer(pack io.ReaderAt, size int64) (Header, []Blob, error) {
	const least, most = 1 + tagSize, binary.MaxVarintLen64 + MaxBlobs*(keySize+2*binary.MaxVarintLen32) + tagSize
	if size < headerSize+least+lengthSize || size > MaxPack {
		return Header{}, nil, fmt.Errorf("%w: a pack of %d bytes", ErrCorrupt, size)
	}
	ends := make([]byte, headerSize+lengthSize)
	if err := readAt(pack, ends[:headerSize], 0); err != nil {
		return Header{}, nil, err
	}
	if err := readAt(pack, ends[headerSize:], size-lengthSize); err != nil {
		return Header{}, nil, err
	}
	h, err := ReadHeader(ends)
	if err != nil {
		return Header{}, nil, err
	}
	open, err := k.cipher(h, packPurpose)
	if err != nil {
		return Header{}, nil, err
	}
	length := int64(binary.BigEndian.Uint32(ends[headerSize:]))
	start := size - lengthSize - length
	if length < least || length > most || start < headerSize {
		return Header{}, nil, fmt.Errorf("%w: a footer of %d bytes", ErrCorrupt, length)
	}
	sealed := make([]byte, length)
	if err := readAt(pack, sealed, start); err != nil {
		return Header{}, nil, err
	}
	footer, err := open.Open(sealed[:0], nonceOf(new([nonceSize]byte), footerNonce, int(start)), sealed, nil)
	if err != nil {
		return Header{}, nil, fmt.Errorf("%w: this is no footer of its pack", ErrCorrupt)
	}
	blobs, err := parseFooter(footer, int(start))
	return h, blobs, err
}

// parseFooter reads a footer whose pack has blobs up to an end.
func parseFooter(footer []byte, end int) ([]Blob, error) {
	bad := fmt.Errorf("%w: a footer that no packer writes", ErrCorrupt)
	count, n := uvarint(footer)
	if n == 0 || count > MaxBlobs || count > uint64(len(footer)/(keySize+2)) {
		return nil, bad
	}
	footer = footer[n:]
	blobs := make([]Blob, 0, count)
	offset := headerSize
	for range count {
		if len(footer) < keySize {
			return nil, bad
		}
		b := Blob{ID: [32]byte(footer), Offset: offset}
		length, n := uvarint(footer[keySize:])
		size, m := uvarint(footer[keySize+n:])
		if n == 0 || m == 0 || length > MaxPack || size > MaxBlob {
			return nil, bad
		}
		b.Length, b.Size = int(length), int(size)
		offset += b.Length
		if !b.sound() || offset > end {
			return nil, bad
		}
		blobs, footer = append(blobs, b), footer[keySize+n+m:]
	}
	if offset != end || len(footer) > 0 {
		return nil, bad
	}
	return blobs, nil
}

// readAt fills b. What ends before is damaged.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends after %d bytes", ErrCorrupt, offset+int64(n))
	}
	return fmt.Errorf("reading a pack: %w", err)
}
