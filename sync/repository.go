package sync

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// repository is a Remote and the keys of what is in it.
type repository struct {
	Remote
	seal    Sealer
	indexes map[string]*index // those that were read, by name: they never change
	notes   *book             // where they are kept
	tell    *teller
	most    int          // calls that are under way
	part    int          // bytes of an index
	room    int          // bytes of a pack
	sent    atomic.Int64 // bytes that were put
}

// get reads an object as a whole.
func (r *repository) get(ctx context.Context, name string, most int64) ([]byte, error) {
	var data []byte
	err := r.again(ctx, func() error {
		body, err := r.Get(ctx, name, 0, -1)
		if err != nil {
			return err
		}
		data, err = io.ReadAll(io.LimitReader(body, most+1))
		return errors.Join(err, body.Close())
	})
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrCorrupt, name, most)
	}
	return data, err
}

// newest returns the newest head there is, after a head that is known, and when
// it was put. Of an empty remote it is the head of number 0.
func (r *repository) newest(ctx context.Context) (seq int64, put time.Time, err error) {
	err = r.again(ctx, func() error {
		next, stop := iter.Pull2(r.List(ctx, headFolder, ""))
		defer stop()
		seq, put = 0, time.Time{}
		o, err, ok := next()
		if !ok || err != nil {
			return err
		}
		put = o.Time
		seq, err = headSeq(o.Name)
		return err
	})
	return seq, put, err
}

// head reads the head of a number.
func (r *repository) head(ctx context.Context, seq int64) (head, error) {
	if seq == 0 {
		return head{}, nil
	}
	object, err := r.get(ctx, headName(seq), maxHead)
	if err != nil {
		return head{}, err
	}
	return openHead(r.seal, seq, object)
}

// blob reads a content.
func (r *repository) blob(ctx context.Context, in *places, id [32]byte) ([]byte, error) {
	if err := in.read(ctx); err != nil {
		return nil, err
	}
	pack, b, ok := in.find(id)
	if !ok {
		return nil, fmt.Errorf("%w %x", errLost, id[:8])
	}
	var sealed []byte
	err := r.again(ctx, func() error {
		body, err := r.Get(ctx, pack.name, b.Offset, int64(b.Length))
		if err != nil {
			return err
		}
		sealed, err = io.ReadAll(io.LimitReader(body, int64(b.Length)+1))
		return errors.Join(err, body.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pack.name, err)
	}
	content, err := r.seal.OpenBlob(nil, pack.header, b, sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pack.name, err)
	}
	return content, nil
}

// put creates an object under a name that nobody else can have drawn.
func (r *repository) put(ctx context.Context, name string, object []byte) error {
	return r.putBody(ctx, name, body{bytes.NewReader(object)})
}

func (r *repository) putBody(ctx context.Context, name string, b Body) error {
	err := r.again(ctx, func() error { return r.PutIfAbsent(ctx, name, b) })
	if errors.Is(err, ErrExists) {
		err = nil // by an attempt of which the answer was lost
	}
	if err == nil {
		r.sent.Add(b.Size())
	}
	return err
}

// commit puts a head, which is sealed. It returns ErrStale if the number is
// another commit's, and when what it has put does not count: a number that was
// free because the commit of that number has been forgotten.
func (r *repository) commit(ctx context.Context, h head) (head, error) {
	object, name := h.object, headName(h.Seq)
	h.id = commitID(object)
	if err := r.owns(ctx, h); err != nil {
		return head{}, err
	}
	err := r.again(ctx, func() error { return r.PutIfAbsent(ctx, name, body{bytes.NewReader(object)}) })
	if errors.Is(err, ErrExists) {
		there, e := r.get(ctx, name, maxHead)
		if e != nil {
			return head{}, e
		}
		if err = nil; !bytes.Equal(there, object) {
			err = ErrStale
		}
	}
	if err != nil {
		return head{}, err
	}
	r.sent.Add(int64(len(object)))
	return h, r.counts(ctx, h)
}

// counts looks that a head that was put is the newest, or that the newest comes
// from it.
func (r *repository) counts(ctx context.Context, h head) error {
	seq, _, err := r.newest(ctx)
	if err != nil || seq <= h.Seq {
		return err // a list may be behind
	}
	n, err := r.head(ctx, seq)
	if err != nil {
		return err
	}
	follows, err := r.follows(ctx, n, h)
	if err == nil && !follows {
		err = ErrStale
	}
	return err
}

// body is a Body in memory.
type body struct{ *bytes.Reader }

func (b body) Size() int64 { return b.Reader.Size() }

// draw returns 128 random bits in hexadecimal digits.
func draw() string {
	var b [packNameLen / 2]byte
	_, _ = rand.Read(b[:]) // which never fails
	return hex.EncodeToString(b[:])
}

// again calls f until it has an answer, or has had none for several times.
func (r *repository) again(ctx context.Context, f func() error) error {
	const first, most, tries = 100 * time.Millisecond, 10 * time.Second, 6
	for i, wait := 1, first; ; i, wait = i+1, min(2*wait, most) {
		err := f()
		final := err == nil || i == tries || slices.ContainsFunc(answers, func(a error) bool { return errors.Is(err, a) })
		if final || ctx.Err() != nil {
			return err
		}
		r.tell.retry(err)
		var later *UnavailableError
		if errors.As(err, &later) && later.After > wait {
			wait = min(later.After, time.Minute)
		}
		if e := pause.For(ctx, wait); e != nil {
			return errors.Join(err, e)
		}
	}
}

// answers are errors that another try would meet too.
var answers = []error{ErrExists, ErrNotFound, ErrDenied, ErrFull, ErrCorrupt, ErrInvalid, ErrUnsafe, ErrClosed}
