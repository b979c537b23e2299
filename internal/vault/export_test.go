package vault

import "encoding/binary"

// NewKeysFrom draws from random what is drawn at random.
var NewKeysFrom = newKeys

// SealPacked is Seal for what says that it has a size and is packed as it is
// given: who has the keys may lie.
func (k *Keys) SealPacked(kind Kind, name string, size uint64, packed []byte) []byte {
	h := k.header()
	object := append(binary.AppendUvarint(h[:], size), packed...)
	return must(k.cipher(h, purposeOf(kind))).Seal(object[:headerSize:headerSize], make([]byte, nonceSize), object[headerSize:], bound(kind, name))
}
