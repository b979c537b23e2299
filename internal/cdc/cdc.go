// Package cdc cuts bytes into chunks where their content says so, so that what
// two versions have in common is cut alike, wherever it stands.
//
// Source: Xia et al., FastCDC, USENIX ATC 2016: gear hash, normalized chunking.
package cdc

import (
	"context"
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

// Sizes are those of other chunks, in bytes: all but the last have at least
// Min, which is 64 or more, and at most Max.
type Sizes struct{ Min, Average, Max int }

// Cut returns the length of the first chunk of data, which has Max bytes or all
// that follow. Of no data it is 0.
func Cut(data []byte) int { return Sizes{Min, Average, Max}.Cut(data) }

// Cut returns the length of the first chunk of data, which has s.Max bytes or
// all that follow. Of no data it is 0.
func (s Sizes) Cut(data []byte) int {
	if len(data) <= s.Min {
		return len(data)
	}
	gear := table()
	end := min(len(data), s.Max)
	middle := min(end, s.Average)
	// Before the average a cut needs two bits more of the hash than the average
	// asks for, after it two less, so that few chunks are far from it. They are
	// the upper bits, which the last 64 bytes have all shaped.
	average := bits.Len(uint(s.Average)) - 1
	hard, easy := ^uint64(0)<<(64-average-2), ^uint64(0)<<(64-average+2)
	var hash uint64
	i := s.Min
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
	return Sizes{Min, Average, Max}.Each(ctx, r, use)
}

// Each is as the function Each, for chunks of these sizes.
func (s Sizes) Each(ctx context.Context, r io.Reader, use func(chunk []byte, offset int64) (more bool)) error {
	buf := make([]byte, 0, 4*s.Max)
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
		for len(rest) > s.Max || end && len(rest) > 0 {
			n := s.Cut(rest)
			if !use(rest[:n], offset) {
				return nil
			}
			offset, rest = offset+int64(n), rest[n:]
		}
		buf = buf[:copy(buf, rest)]
	}
	return nil
}

// table has a random number for each byte. It is part of what two devices must
// have in common, and made when it is first used.
var table = sync.OnceValue(func() *[256]uint64 {
	var gear [256]uint64
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
