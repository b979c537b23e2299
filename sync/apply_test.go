package sync_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// told are Files that call a function before they place or remove something.
type told struct {
	cloudsync.Files
	before func() error
}

func (f told) Place(ctx context.Context, staged, path string) (cloudsync.File, error) {
	if err := f.before(); err != nil {
		return cloudsync.File{}, err
	}
	return f.Files.Place(ctx, staged, path)
}

func (f told) Remove(ctx context.Context, path, staged string) error {
	if err := f.before(); err != nil {
		return err
	}
	return f.Files.Remove(ctx, path, staged)
}

func TestWhatIsCancelledChangesNothingMore(t *testing.T) {
	for _, removes := range []bool{false, true} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		for i := range 9 {
			a.disk.write(fmt.Sprint(i), "1")
		}
		w.must(a)
		if removes {
			w.must(b)
			a.disk.remove("0")
			for i := range 8 {
				a.disk.remove(fmt.Sprint(i))
			}
			w.must(a)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone, changes := errors.New("the lease is gone"), 0
		w.planted = func(c *cloudsync.EngineConfig, _ use, f mount, _ bool) {
			c.Files = told{f, func() error {
				if changes++; changes == 3 {
					cancel(gone)
				}
				return nil
			}}
		}
		_, err := w.engine(b, new(process), false).Sync(ctx, cloudsync.Request{})
		require.ErrorIs(t, err, gone)
		require.Equal(t, 3, changes)
		w.planted = nil
		w.settle()
		w.equal()
	}
}
