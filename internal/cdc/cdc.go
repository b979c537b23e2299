// Package cdc cuts bytes into chunks where their content says so, so that what
// two versions have in common is cut alike, wherever it stands.
//
// Source: Xia et al., FastCDC, USENIX ATC 2016: gear hash, normalized chunking.
package cdc

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"
)

// The sizes of chunks, in bytes. All but the last chunk have at least Min.
const (
	Min     = 4 << 10
	Average = 16 << 10
	Max     = 64 << 10
)

// Cutter cuts chunks of other sizes, in bytes: all but the last have at least
// Min, which is 64 or more, and at most Max.
type Cutter struct {
	Min, Average, Max int
	// Gear is what the cuts depend on besides the content. Default: the one of
	// Cut, which everybody knows.
	Gear *Gear
}

// Gear has a random number for each byte.
type Gear [256]uint64

// NewGear returns the gear of a seed. Who does not know the seed cannot tell a
// content by the lengths of its chunks.
func NewGear(seed [32]byte) *Gear {
	var g Gear
	for i := 0; i < len(g); i += 4 {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(seed[:], uint64(i/4)))
		for j := range 4 {
			g[i+j] = binary.BigEndian.Uint64(sum[8*j:])
		}
	}
	return &g
}

// Cut returns the length of the first chunk of data, which has Max bytes or all
// that follow. Of no data it is 0.
func Cut(data []byte) int { return Cutter{Min: Min, Average: Average, Max: Max}.Cut(data) }

// Cut returns the length of the first chunk of data, which has c.Max bytes or
// all that follow. Of no data it is 0.
func (c Cutter) Cut(data []byte) int {
	if len(data) <= c.Min {
		return len(data)
	}
	gear := c.Gear
	if gear == nil {
		gear = public()
	}
	end := min(len(data), c.Max)
	middle := min(end, c.Average)
	// Before the average a cut needs two bits more of the hash than the average
	// asks for, after it two less, so that few chunks are far from it. They are
	// the upper bits, which the last 64 bytes have all shaped.
	average := bits.Len(uint(c.Average)) - 1
	hard, easy := ^uint64(0)<<(64-average-2), ^uint64(0)<<(64-average+2)
	var hash uint64
	i := c.Min
	for ; i < middle; i++ {
		hash = hash<<1 + gear[data[i]]
		if hash&hard == 0 {
			return i + 1
		}
	}
	for ; i < end; i++ {
		hash = hash<<1 + gear[data[i]]
		if hash&easy == 0 {
			return i + 1
		}
	}
	return end
}

// Each cuts what r has, and calls use with each chunk, which is valid until it
// returns, and where it is, as long as that wants more.
func Each(ctx context.Context, r io.Reader, use func(chunk []byte, offset int64) (more bool)) error {
	return Cutter{Min: Min, Average: Average, Max: Max}.Each(ctx, r, use)
}

// Each is as the function Each, for the chunks of c.
func (c Cutter) Each(ctx context.Context, r io.Reader, use func(chunk []byte, offset int64) (more bool)) error {
	memory, ok := buffers.Get().(*[]byte)
	if !ok || cap(*memory) < c.Max/4 || cap(*memory) > 2*c.Max {
		memory = new([]byte)
		*memory = make([]byte, 0, c.Max/4)
	}
	defer buffers.Put(memory)
	buf := (*memory)[:0]
	for offset, end := int64(0), false; !end; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		rest := buf
		for len(rest) > c.Max || end && len(rest) > 0 {
			n := c.Cut(rest)
			if !use(rest[:n], offset) {
				return nil
			}
			offset, rest = offset+int64(n), rest[n:]
		}
		if buf = buf[:copy(buf, rest)]; len(buf) > cap(buf)/2 && cap(buf) < 2*c.Max {
			buf = append(make([]byte, 0, 2*c.Max), buf...) // there is more than a little
			*memory = buf
		}
	}
	return nil
}

var buffers sync.Pool // of *[]byte

// public is the gear of Cut. It is part of what two devices must have in common,
// and made when it is first used.
var public = sync.OnceValue(func() *Gear {
	var gear Gear
	seed := uint64(0x9e3779b97f4a7c15)
	for i := range gear {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		gear[i] = z ^ z>>31
	}
	return &gear
})
