package firmware

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// BundleMagic is what a bundle begins with. After it come the length of the
// signed head in four bytes, big end first, the head, the index, and then what
// the index has for each segment last, by WayZstd or WayRaw.
const BundleMagic = "upkfwb1\n"

const maxHead = 1 << 20 // bytes of a bundle's signed head

// Upload installs a bundle that an operator brings: one signed release with its
// image, read from the network or a USB stick. It is judged by its own
// signature and expiry, product, hardware, MinFrom and the floor, before its
// first byte of image is read; the catalog and its number are left alone. It
// returns once the image is in the slot; Wait for the end. A bundle that ends
// early, or goes on behind its end, leaves nothing that could be started. When
// ctx ends before, the run is cancelled.
//
// The bundle is closed before Upload returns, and as soon as nobody wants more
// of it: when ctx ends, the run is cancelled or the Service closes. That has to
// make a Read that is under way return, as it does with a connection or a pipe.
// Upload waits for that Read, so that a bundle whose Close does not needs a
// deadline of its own.
func (s *Service) Upload(ctx context.Context, bundle io.ReadCloser, by By) (Run, error) {
	up := &upload{
		in: bundle, ctx: ctx, received: make(chan error, 1),
		end: sync.OnceFunc(func() { _ = bundle.Close() }), // what matters of it, its Read tells
	}
	defer up.end()
	if err := fits("RequestID", by.RequestID, maxName); err != nil {
		return Run{}, err
	}
	id := by.RequestID
	by = by.bounded()
	by.RequestID = id
	if s.config.Disabled {
		return Run{}, ErrDisabled
	}
	if run, found, err := s.earlier(ctx, by); found || err != nil {
		return run, err
	}
	run, begun, err := s.begin(ctx, up, func(ctx context.Context, rec Record, token int64) (Run, progress, error) {
		release, err := s.readFront(ctx, rec, up)
		return newRun(rec, release, Request{Version: release.Version, AllowDowngrade: true, By: by}), progress{Phase: phaseReceive}, err
	})
	if err != nil || !begun {
		return run, err
	}
	failure := <-up.received
	if failure != nil {
		<-up.left
	}
	quiet, done := quiet(ctx)
	defer done()
	now, err := s.Get(quiet, run.ID)
	if failure != nil || err != nil {
		return now, cmp.Or(failure, err)
	}
	return now, nil
}

var errGone = fmt.Errorf("%w: whoever brought the bundle is gone", ErrCancelled)

// upload is a bundle on its way into the slot.
type upload struct {
	in       io.Reader
	failed   error  // of reading it, the last
	end      func() // closes it
	ctx      context.Context
	index    Index
	received chan error    // one, when it is in the slot or never will be
	left     chan struct{} // closed when nobody works on the run any more
}

// endWith closes the bundle when ctx ends, until the function that it returns is
// called, which waits for that.
func (u *upload) endWith(ctx context.Context) (release func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		u.end()
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// fail says that the bundle is not in the slot, unless it is known what became
// of it.
func (u *upload) fail(err error) {
	select {
	case u.received <- err:
	default:
	}
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.in.Read(p)
	if err != nil && err != io.EOF {
		u.failed = err
	}
	return n, err
}

// gone is why a bundle whose context has ended is not installed. A server ends
// the context when a read fails, and a read fails when the context ends: which
// came first cannot be told, and both are said.
func (u *upload) gone(why error) error {
	if u.failed != nil {
		return fmt.Errorf("%w: %w", why, u.failed)
	}
	return why
}

// readFront reads and judges what a bundle has before its image.
func (s *Service) readFront(ctx context.Context, rec Record, up *upload) (release Release, err error) {
	defer up.endWith(ctx)()
	if release, err = s.readHead(ctx, rec, up); err == nil {
		var raw []byte
		if raw, err = readAll(up, release.Index.Size, MaxIndex); err == nil {
			up.index, err = readIndex(release, raw)
		}
	}
	switch {
	case err == nil || ctx.Err() == nil:
	case up.ctx.Err() != nil:
		err = up.gone(context.Cause(ctx))
	default:
		err = context.Cause(ctx)
	}
	return release, err
}

// readHead reads and judges what a bundle says of itself.
func (s *Service) readHead(ctx context.Context, rec Record, in io.Reader) (Release, error) {
	var front [len(BundleMagic) + 4]byte
	if _, err := io.ReadFull(in, front[:]); err != nil {
		return Release{}, fmt.Errorf("%w: the bundle ends early: %w", ErrCorrupt, err)
	}
	if string(front[:len(BundleMagic)]) != BundleMagic {
		return Release{}, fmt.Errorf("%w: this is not a bundle", ErrInvalid)
	}
	raw, err := readAll(in, int64(binary.BigEndian.Uint32(front[len(BundleMagic):])), maxHead)
	if err != nil {
		return Release{}, err
	}
	b, err := s.config.Verifier.Bundle(ctx, raw, rec.Trust)
	if err != nil {
		return Release{}, err
	}
	if b.Product != s.config.Product {
		return Release{}, fmt.Errorf("%w: a bundle of product %q", ErrMismatch, cut(b.Product, maxName))
	}
	if err := s.unexpired(rec, "bundle", b.Issued, b.Expires); err != nil {
		return Release{}, err
	}
	if runs(rec, b.Release) {
		return Release{}, fmt.Errorf("%w: version %q", ErrUpToDate, b.Release.Version)
	}
	b.Release.Time = b.Release.Time.UTC()
	return b.Release, s.suits(rec, b.Release)
}

// readAll reads so many bytes, of which there may be at most so many.
func readAll(in io.Reader, size, most int64) ([]byte, error) {
	if size <= 0 || size > most {
		return nil, fmt.Errorf("%w: %d bytes of a bundle's front, at most %d are allowed", ErrCorrupt, size, most)
	}
	raw := make([]byte, 0, min(size, 1<<20))
	for int64(len(raw)) < size {
		part := make([]byte, min(size-int64(len(raw)), 1<<20))
		n, err := io.ReadFull(in, part)
		raw = append(raw, part[:n]...)
		if err != nil {
			return nil, fmt.Errorf("%w: the bundle ends early: %w", ErrCorrupt, err)
		}
	}
	return raw, nil
}

// receive brings the bundle into the slot.
func (r *runner) receive(up *upload) (err error) {
	if up == nil {
		return fmt.Errorf("%w: the bundle came only in part", ErrCorrupt)
	}
	defer func() { up.received <- err }() // there is room for one
	defer context.AfterFunc(up.ctx, func() { r.cancel(errGone) })()
	defer up.endWith(r.ahead)()
	if err := r.turn(StateRunning, DeviceUploading, "receive"); err != nil {
		return err
	}
	release := r.rec.Run.Release
	file, err := r.s.config.Slots.Open(r.ahead, release)
	if err != nil {
		return err
	}
	defer file.Close()
	f := newFetcher(r.ahead, r.s, up.index, nil, [32]byte{}, nil)
	err = r.segments(file, up.index, func(ctx context.Context, i int) ([]byte, error) {
		return f.received(up, i)
	}, f, false)
	if err == nil {
		err = ended(up)
	}
	if err != nil {
		switch cause := context.Cause(r.ahead); {
		case cause != nil && cause != errGone:
			return cause
		case up.ctx.Err() != nil:
			return up.gone(errGone)
		}
		return err
	}
	return r.enterPhase(phaseVerify)
}

// ended reads the end of a bundle, where whoever sends it may say that it is not
// all there.
func ended(in io.Reader) error {
	switch _, err := io.ReadFull(in, make([]byte, 1)); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("%w: the bundle goes on behind its end", ErrCorrupt)
	default:
		return fmt.Errorf("%w: the bundle has no end: %w", ErrCorrupt, err)
	}
}

// received reads a segment of a bundle.
func (f *fetcher) received(in io.Reader, i int) ([]byte, error) {
	s := f.index.Segments[i]
	p := s.Parts[len(s.Parts)-1]
	if p.Way != WayZstd && p.Way != WayRaw {
		return nil, fmt.Errorf("%w: the index does not say how segment %d is packed", ErrCorrupt, i+1)
	}
	f.sent = grow(f.sent, p.Size)
	n, err := io.ReadFull(in, f.sent)
	f.pulled[WayBundle] += int64(n)
	if err != nil {
		return nil, fmt.Errorf("%w: the bundle ends early: %w", ErrCorrupt, err)
	}
	if sha256.Sum256(f.sent) != p.Digest {
		return nil, fmt.Errorf("%w: the bundle has other bytes than were signed", ErrCorrupt)
	}
	raw := f.sent
	if p.Way == WayZstd {
		_, size := f.index.Extent(i)
		f.raw = grow(f.raw, size)
		raw, err = f.raw, f.unpacker.Unpack(WayZstd, f.sent, nil, f.raw)
	}
	if err == nil && !s.is(raw, p) {
		err = fmt.Errorf("%w: it is not the segment that was signed", ErrCorrupt)
	}
	return raw, err
}
