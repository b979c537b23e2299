package sync

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/upkeep-go/upkeep/internal/cdc"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// Files of less than smallFile bytes are one chunk, others are cut where their
// content says so, and the keys.
const smallFile = 512 << 10

// newCutter returns what cuts files by these keys.
func newCutter(s Sealer) cdc.Cutter {
	return cdc.Cutter{Min: 256 << 10, Average: 1 << 20, Max: 4 << 20, Gear: cdc.NewGear(s.ChunkSeed())}
}

// chunks reads a file, and calls use with each chunk, which is valid until it
// returns.
func (w *work) chunks(ctx context.Context, path string, use func(id tree.ID, chunk []byte) error) error {
	r, err := w.Files.Open(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close() // nothing was written
	return w.cut(ctx, r, use)
}

// cut cuts a content, and calls use with each chunk, which is valid until it
// returns.
func (w *work) cut(ctx context.Context, r io.Reader, use func(id tree.ID, chunk []byte) error) error {
	small, err := w.readSmall(r)
	switch {
	case errors.Is(err, io.EOF) && len(small) == 0:
		return nil
	case errors.Is(err, io.EOF):
		return use(w.Sealer.ID(small), small)
	case err != nil:
		return err
	}
	var failed error
	err = w.cutter.Each(ctx, io.MultiReader(bytes.NewReader(small), r), func(chunk []byte, _ int64) bool {
		failed = use(w.Sealer.ID(chunk), chunk)
		return failed == nil
	})
	return errors.Join(err, failed)
}

// readSmall reads what a content begins with, into a buffer that is as large as the
// files were that this work has read. Of less than smallFile bytes the error is
// io.EOF.
func (w *work) readSmall(r io.Reader) ([]byte, error) {
	const first = 32 << 10
	if w.buffer == nil {
		w.buffer = make([]byte, first)
	}
	for n := 0; ; {
		k, err := io.ReadFull(r, w.buffer[n:])
		n += k
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return w.buffer[:n], io.EOF
		case err != nil || n == smallFile:
			return w.buffer[:n], err
		}
		w.buffer = append(make([]byte, 0, 2*n), w.buffer...)[:2*n]
	}
}
