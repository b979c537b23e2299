package slot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// disk is where records and variables are: the machine's, or a simulated one.
type disk interface {
	// open opens a file that is there, to be changed in place.
	open(path string) (durable.Region, error)
	// create makes a file, whole or not at all. One that is there is replaced.
	create(path string, data []byte) error
}

// copies is a file that has a text twice, so that one is whole at any moment.
// A copy has, from its first byte on and big end first: the magic, its
// generation in eight bytes, the length of the text in four, the SHA-256 of all
// these and the text, and, in byte 64, the text. The copy of the greater
// generation counts. The second begins at byte 8192.
type copies struct {
	disk disk
	path string
}

const (
	copyMagic = "upkslot1"
	copySize  = 8 << 10
	copyFront = 64
)

// copyOf makes a copy.
func copyOf(generation int64, text []byte) []byte {
	c := make([]byte, copyFront+len(text))
	copy(c, copyMagic)
	binary.BigEndian.PutUint64(c[8:], uint64(generation))
	binary.BigEndian.PutUint32(c[16:], uint32(len(text)))
	copy(c[copyFront:], text)
	sum := sumOf(c)
	copy(c[20:], sum[:])
	return c
}

func sumOf(c []byte) [32]byte {
	h := sha256.New()
	h.Write(c[:20])
	h.Write(c[copyFront:])
	return [32]byte(h.Sum(nil))
}

// textOf reads a copy, if it is whole.
func textOf(c []byte) (generation int64, text []byte, whole bool) {
	if len(c) < copyFront || string(c[:8]) != copyMagic {
		return 0, nil, false
	}
	length := binary.BigEndian.Uint32(c[16:])
	if int64(length) > int64(len(c)-copyFront) {
		return 0, nil, false
	}
	c = c[:copyFront+length]
	if sum := sumOf(c); !bytes.Equal(sum[:], c[20:52]) {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(c[8:])), c[copyFront:], true
}

// opened opens the file and reads the copy that counts. Before, it makes
// durable what a process has written that was killed then: nobody may go by
// what the next power cut takes back, nor write over the only copy that it does
// not.
func (c copies) opened() (r durable.Region, which int, generation int64, text []byte, err error) {
	r, err = c.disk.open(c.path)
	if err != nil {
		return nil, 0, 0, nil, err
	}
	whole := false
	if err = r.Sync(); err == nil {
		var both [2 * copySize]byte
		if _, e := r.ReadAt(both[:], 0); e != nil && !errors.Is(e, io.EOF) {
			err = e
		}
		for i := range 2 {
			n, t, ok := textOf(both[i*copySize : (i+1)*copySize])
			if ok && (!whole || n > generation) {
				which, generation, text, whole = i, n, t, true
			}
		}
	}
	if err == nil && !whole {
		err = errors.New("both copies are damaged")
	}
	if err != nil {
		return nil, 0, 0, nil, errors.Join(fmt.Errorf("%w: reading %q: %w", firmware.ErrUnavailable, c.path, err), r.Close())
	}
	return r, which, generation, text, nil
}

// read returns the text, and whether one was ever written.
func (c copies) read() ([]byte, bool, error) {
	r, _, _, text, err := c.opened()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, unavailable(err)
	}
	return text, true, r.Close()
}

// write replaces the text. If it fails the text is that of before, or this one.
func (c copies) write(text []byte) error {
	if len(text) > copySize-copyFront {
		return fmt.Errorf("%w: %d bytes for %q, which takes %d", firmware.ErrNoSpace, len(text), c.path, copySize-copyFront)
	}
	r, which, generation, _, err := c.opened()
	if errors.Is(err, fs.ErrNotExist) {
		both := make([]byte, 2*copySize)
		copy(both, copyOf(0, text))
		copy(both[copySize:], copyOf(1, text))
		return c.disk.create(c.path, both)
	}
	if err != nil {
		return unavailable(err)
	}
	_, err = r.WriteAt(copyOf(generation+1, text), int64(1-which)*copySize)
	return errors.Join(err, r.Sync(), r.Close())
}

// unavailable is err as firmware.ErrUnavailable.
func unavailable(err error) error {
	if errors.Is(err, firmware.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", firmware.ErrUnavailable, err)
}
