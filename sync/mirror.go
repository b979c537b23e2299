package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Mirror copies what src has and dst has not: sealed as it is, without a key. It
// can be stopped and repeated, also beside devices that sync with src. The newest
// head comes last, so that dst is whole as soon as it has one, and is the only one:
// it knows all commits. History and bases go along: a device can go on with dst as
// if it were src. A dst with another repository, or one that has gone on by itself,
// is ErrForked. What only dst has stays there. What src does not list yet, though it
// was put, comes with the next Mirror.
func Mirror(ctx context.Context, dst, src Remote) error {
	from, to := bare(src), bare(dst)
	for range maxTries {
		name, err := newestHead(ctx, from)
		if err != nil {
			return err
		}
		if err := mirrorable(ctx, to, from, name); err != nil || name == "" {
			return err
		}
		head, err := from.get(ctx, name, maxHead)
		if err == nil {
			err = mirrorContents(ctx, to, from)
		}
		if err != nil && !isNotFound(err) {
			return err
		}
		now, e := newestHead(ctx, from)
		if e != nil {
			return e
		}
		if now == name { // else what it needs may be gone
			if err == nil {
				err = putSmall(ctx, to, name, head)
			}
			return err
		}
	}
	return fmt.Errorf("%w: others commit too often", ErrUnavailable)
}

// newestHead is the name of the newest head, or "".
func newestHead(ctx context.Context, r *repository) (string, error) {
	seq, _, err := r.newest(ctx)
	if err != nil || seq == 0 {
		return "", err
	}
	return headName(seq), nil
}

// mirrorable looks that a remote has nothing, or an earlier state of another one.
func mirrorable(ctx context.Context, to, from *repository, name string) error {
	err := copySmall(ctx, to, from, configName, maxConfig)
	if isNotFound(err) {
		err = nil // it has no repository yet
	}
	if err != nil {
		return err
	}
	there, err := newestHead(ctx, to)
	switch {
	case err != nil || there == "":
		return err
	case name == "" || there < name: // the newest is listed first
		return fmt.Errorf("%w: it has gone on by itself", ErrForked)
	}
	err = copySmall(ctx, to, from, there, maxHead)
	if isNotFound(err) {
		return nil // that commit was forgotten
	}
	return err
}

// mirrorContents copies all but heads.
func mirrorContents(ctx context.Context, to, from *repository) error {
	has := make(map[string]bool)
	for o, err := range to.List(ctx, "", "") {
		if err != nil {
			return err
		}
		has[o.Name] = true
	}
	var all []Object
	for o, err := range from.List(ctx, "", "") {
		if err != nil {
			return err
		}
		if !has[o.Name] && !strings.HasPrefix(o.Name, headFolder) {
			all = append(all, o)
		}
	}
	for _, o := range all {
		if err := copyObject(ctx, to, from, o); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	return nil
}

// copySmall copies an object of which the name can be that of another one.
func copySmall(ctx context.Context, to, from *repository, name string, most int64) error {
	object, err := from.get(ctx, name, most)
	if err != nil {
		return err
	}
	return putSmall(ctx, to, name, object)
}

// putSmall puts an object. If there is another one by its name, the two remotes
// have different histories.
func putSmall(ctx context.Context, to *repository, name string, object []byte) error {
	err := to.again(ctx, func() error { return to.PutIfAbsent(ctx, name, body{bytes.NewReader(object)}) })
	if !errors.Is(err, ErrExists) {
		return err
	}
	there, err := to.get(ctx, name, int64(len(object)))
	if errors.Is(err, ErrCorrupt) || err == nil && !bytes.Equal(there, object) {
		err = fmt.Errorf("%w: it has another %s", ErrForked, name)
	}
	return err
}

// copyObject copies an object whose name nothing else can have.
func copyObject(ctx context.Context, to, from *repository, o Object) error {
	err := to.again(ctx, func() error {
		return to.PutIfAbsent(ctx, o.Name, &distant{ctx: ctx, r: from, object: o})
	})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// distant is a Body that is read from a remote, a piece at a time, during the put
// of it: the context is that of the put.
type distant struct {
	ctx    context.Context
	r      *repository
	object Object

	mu    sync.Mutex // of what follows: parts may be put side by side
	at    int64      // of the piece
	piece []byte
}

const pieceSize = 4 << 20 // bytes

// Size implements Body.
func (d *distant) Size() int64 { return d.object.Size }

// ReadAt implements io.ReaderAt.
func (d *distant) ReadAt(p []byte, off int64) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n < len(p) && off < d.object.Size {
		if off < d.at || off >= d.at+int64(len(d.piece)) {
			if err := d.load(off); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], d.piece[off-d.at:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *distant) load(off int64) error {
	size := min(pieceSize, d.object.Size-off)
	return d.r.again(d.ctx, func() error {
		d.piece = nil
		content, err := d.r.Get(d.ctx, d.object.Name, off, size)
		if err != nil {
			return err
		}
		piece, err := io.ReadAll(io.LimitReader(content, size))
		if err = errors.Join(err, content.Close()); err != nil {
			return err
		}
		if int64(len(piece)) < size {
			return fmt.Errorf("%w: %s is shorter than it was listed", ErrCorrupt, d.object.Name)
		}
		d.at, d.piece = off, piece
		return nil
	})
}
