package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// prove looks that the remote has the newest head as it is noted, if it was not
// read in this sync. A remote that went back, and reached the same number by
// commits of others, has another one: ErrForked.
func (w *work) prove(ctx context.Context) error {
	if w.proven || w.known.Seq == 0 || w.head.id != w.known.id {
		return nil
	}
	object, err := w.r.get(ctx, headName(w.known.Seq), maxHead)
	switch {
	case err != nil:
		return fmt.Errorf("head %d: %w", w.known.Seq, err)
	case !bytes.Equal(object, w.known.object):
		return errOtherHead(w.known.Seq)
	}
	w.proven = true
	return nil
}

func errOtherHead(seq int64) error { return fmt.Errorf("%w: commit %d is another one", ErrForked, seq) }

// proving calls f, which puts what the next commit needs, and proves the newest
// head meanwhile. It waits for both.
func (w *work) proving(ctx context.Context, f func() error) error {
	if w.r.most == 1 {
		if err := w.prove(ctx); err != nil {
			return err
		}
		return f()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	proof := make(chan error, 1)
	go func() { proof <- w.prove(ctx) }()
	err := f()
	if err != nil {
		cancel()
	}
	if e := <-proof; err == nil || errors.Is(e, ErrForked) {
		err = e
	}
	return err
}
