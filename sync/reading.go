package sync

import (
	"context"
	"io"
)

// reading is a file of a commit that somebody reads. It ends by Close, or with its
// context.
type reading struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	sources *sources
	file    io.Reader
	turn    chan struct{} // whoever has put something into it has the turn
}

var _ io.ReadCloser = (*reading)(nil)

func newReading(ctx context.Context, open func(context.Context) (*sources, io.Reader)) *reading {
	r := &reading{turn: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.sources, r.file = open(r.ctx)
	return r
}

// Read implements io.Reader. After Close it is an ErrClosed.
func (r *reading) Read(p []byte) (int, error) {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.file.Read(p)
}

// Close implements io.Closer. It waits for what is read ahead, and may be called
// twice.
func (r *reading) Close() error {
	r.cancel(ErrClosed)
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	r.sources.begun.Wait()
	return nil
}

// opened is a reading of a Folder, which has entered, and of a remote that is
// closed with it.
type opened struct {
	*reading
	over chan struct{} // closed when nothing of it is under way
}

// lasts ends the reading when its context has ended, and then leaves what it
// needs.
func (o opened) lasts(leave ...func()) {
	defer close(o.over)
	<-o.ctx.Done()
	_ = o.reading.Close() // which never fails
	for _, f := range leave {
		f()
	}
}

// Close implements io.Closer.
func (o opened) Close() error {
	o.cancel(ErrClosed)
	<-o.over
	return nil
}
