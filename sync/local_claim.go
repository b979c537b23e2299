package sync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/filelock"
)

const (
	claimName = "claim" // of a file of Staging that List does not show
	claimWait = 5 * time.Second
)

// claim is Claim of Caps.
func (l *LocalFiles) claim(ctx context.Context) (release func() error, err error) {
	root, err := l.open()
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(Staging+"/"+claimName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, named(err)
	}
	waiting, done := context.WithTimeout(ctx, claimWait)
	defer done()
	err = filelock.Lock(waiting, f)
	switch {
	case err == nil, errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		return f.Close, nil
	case waiting.Err() != nil && ctx.Err() == nil:
		err = fmt.Errorf("%w: another Folder is at work in this directory", ErrBusy)
	}
	return nil, errors.Join(err, f.Close())
}

// claim keeps others away from the files.
func (w *work) claim(ctx context.Context) (release func(), err error) {
	if w.caps.Claim == nil {
		return func() {}, nil
	}
	end, err := w.caps.Claim(ctx)
	return func() { _ = end() }, err // nothing was written
}
