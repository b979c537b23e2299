package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// A slot is Keys that a passphrase opens: what deriving a key from that costs, a
// salt, a sum by which a wrong one is told, the name, sealed under the master key,
// the keys, sealed under the passphrase and bound to all of that, and a SHA-256
// sum of everything, by which damage is told from a wrong passphrase.
const (
	slotMagic = "ups\x01"
	slotName  = Kind("\x00name of a slot")
	saltSize  = 16
	sumSize   = sha256.Size
	maxName   = 255 // bytes
	maxSlot   = 16 << 10
)

// cost is what Argon2id takes.
type cost struct {
	memory  uint32 // in KiB
	passes  uint32
	threads uint8
}

// check refuses what would take too much, or what Argon2id has not: a slot comes
// from nobody knows where.
func (c cost) check() error {
	switch {
	case c.threads < 1 || c.threads > 16:
		return fmt.Errorf("%w: Argon2id with %d threads, 1 to 16 are allowed", ErrCorrupt, c.threads)
	case c.passes < 1 || c.passes > 16:
		return fmt.Errorf("%w: Argon2id with %d passes, 1 to 16 are allowed", ErrCorrupt, c.passes)
	case c.memory < 8*uint32(c.threads) || c.memory > 1<<20:
		return fmt.Errorf("%w: Argon2id with %d KiB, at most 1 GiB is allowed", ErrCorrupt, c.memory)
	}
	return nil
}

// Slot returns an object that opens to the same keys with a passphrase, which is
// bytes: the caller brings what people type into one Unicode form. Whoever has the
// keys reads its name, of 255 bytes at most, and nobody else.
func (k *Keys) Slot(passphrase, name string) ([]byte, error) {
	return k.slot(cost{memory: 19 << 10, passes: 2, threads: 1}, passphrase, name) // OWASP's recommendation
}

func (k *Keys) slot(c cost, passphrase, name string) ([]byte, error) {
	if passphrase == "" {
		return nil, fmt.Errorf("%w: an empty one opens nothing", ErrPassphrase)
	}
	if len(name) > maxName {
		return nil, fmt.Errorf("vault: a name of %d bytes, at most %d are allowed", len(name), maxName)
	}
	s := slot{cost: c, salt: make([]byte, saltSize)}
	draw(k.random, s.salt)
	var key []byte
	key, s.check = s.keys(passphrase)
	s.name = k.Seal(slotName, string(s.salt), []byte(name))
	b := s.append(nil)
	b = gcm(key).Seal(b, make([]byte, nonceSize), k.Bytes(), b)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// OpenSlot returns the keys of a slot. It takes time and memory on purpose, 19 MiB
// for a slot that was made here and never more than 1 GiB.
func OpenSlot(object []byte, passphrase string) (*Keys, error) {
	s, err := parseSlot(object)
	if err != nil {
		return nil, err
	}
	if passphrase == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	key, check := s.keys(passphrase)
	if !hmac.Equal(check, s.check) {
		return nil, ErrPassphrase
	}
	text, err := gcm(key).Open(nil, make([]byte, nonceSize), s.wrapped, s.append(nil))
	if err != nil {
		return nil, fmt.Errorf("%w: this slot was changed", ErrCorrupt)
	}
	return ParseKeys(text)
}

// SlotName returns the name of a slot of these keys.
func (k *Keys) SlotName(object []byte) (string, error) {
	s, err := parseSlot(object)
	if err != nil {
		return "", err
	}
	name, err := k.Open(slotName, string(s.salt), s.name, maxName)
	if err != nil {
		return "", fmt.Errorf("reading the name of a slot: %w", err)
	}
	return string(name), nil
}

// slot is one taken apart.
type slot struct {
	cost
	salt, check   []byte
	name, wrapped []byte // both sealed
}

// keys derives the key that a passphrase is, and what tells whether it is the one,
// of which nothing follows for the key.
func (s slot) keys(passphrase string) (key, check []byte) {
	root := argon2.IDKey([]byte(passphrase), s.salt, s.passes, s.memory, s.threads, keySize)
	return must(hkdf.Expand(sha256.New, root, "upkeep slot 1\x00key", keySize)),
		must(hkdf.Expand(sha256.New, root, "upkeep slot 1\x00check", keySize))
}

// append writes all but what is wrapped.
func (s slot) append(b []byte) []byte {
	b = append(b, slotMagic...)
	b = binary.BigEndian.AppendUint32(b, s.memory)
	b = binary.BigEndian.AppendUint32(b, s.passes)
	b = append(append(append(b, s.threads), s.salt...), s.check...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s.name))), s.name...)
}

// parseSlot takes a slot apart that nothing has happened to.
func parseSlot(object []byte) (slot, error) {
	const fixed = len(slotMagic) + 4 + 4 + 1 + saltSize + keySize + 2
	if len(object) > maxSlot || len(object) < fixed+sumSize || !bytes.HasPrefix(object, []byte(slotMagic)) {
		return slot{}, fmt.Errorf("%w: this is no slot", ErrCorrupt)
	}
	object, sum := object[:len(object)-sumSize], object[len(object)-sumSize:]
	if is := sha256.Sum256(object); !bytes.Equal(is[:], sum) {
		return slot{}, fmt.Errorf("%w: this is no slot, or no more", ErrCorrupt)
	}
	b := object[len(slotMagic):]
	take := func(n int) (taken []byte) {
		taken, b = b[:n], b[n:]
		return taken
	}
	s := slot{cost: cost{binary.BigEndian.Uint32(take(4)), binary.BigEndian.Uint32(take(4)), take(1)[0]}}
	s.salt, s.check = take(saltSize), take(keySize)
	n := int(binary.BigEndian.Uint16(take(2)))
	if n > len(b) {
		return slot{}, fmt.Errorf("%w: this is half a slot", ErrCorrupt)
	}
	s.name, s.wrapped = take(n), b
	return s, s.cost.check()
}
