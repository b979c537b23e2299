package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
)

// attempt asks for what is missing and receives it. It reports whether the
// file is complete; a Passing says that another attempt may do better.
func (t *Transfer) attempt(ctx context.Context) (complete bool, err error) {
	if t.URL.Scheme == "file" {
		return t.copyFile(ctx, t.URL)
	}
	var first int64
	if t.Kept.ETag != "" && !t.rangeless {
		first = t.size
	}
	part, err := t.Client.Get(ctx, t.URL, first, -1, t.Kept.ETag)
	if errors.Is(err, ErrRange) {
		return false, t.mistrust(err)
	}
	if err != nil {
		return false, err
	}
	defer part.Body.Close()
	if part.First == 0 {
		err = t.acceptWhole(ctx, part)
	} else {
		err = t.acceptPart(part)
	}
	if err != nil {
		return false, err
	}
	if err := t.receive(part.Body); err != nil {
		return false, err
	}
	if t.total > 0 && t.size < t.total {
		return false, &Passing{Err: fmt.Errorf("the answer ended after %d of %d bytes", t.size, t.total)}
	}
	return true, nil
}

// copyFile is an attempt whose server is a file.
func (t *Transfer) copyFile(ctx context.Context, address *url.URL) (bool, error) {
	f, err := os.Open(File(address))
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := t.begin(ctx, ""); err != nil {
		return false, err
	}
	return true, t.receive(until(ctx, f))
}

// acceptWhole begins anew with an answer that has all of the file.
func (t *Transfer) acceptWhole(ctx context.Context, whole Part) error {
	switch {
	case whole.Total < 0:
		t.total = t.Size
	case t.Size > 0 && whole.Total != t.Size:
		return fmt.Errorf("%w: the server has %d bytes, not %d", ErrSize, whole.Total, t.Size)
	case whole.Total > t.limit():
		return fmt.Errorf("%w: the server has %d bytes, at most %d are allowed", ErrSize, whole.Total, t.limit())
	default:
		t.total = whole.Total
	}
	return t.begin(ctx, whole.ETag)
}

// acceptPart goes on with an answer that begins where the file ends.
func (t *Transfer) acceptPart(part Part) error {
	if part.Total > t.limit() || t.total > 0 && part.Total != t.total {
		return t.mistrust(fmt.Errorf("the server answered with a part of %d bytes", part.Total))
	}
	t.total, t.spliced = part.Total, true
	return nil
}

// mistrust drops what there is, so that the next attempt begins anew, without
// a range.
func (t *Transfer) mistrust(why error) error {
	t.rangeless = true
	if err := t.drop(); err != nil {
		return err
	}
	return &Passing{Err: why}
}

// until is r until ctx ends.
func until(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return r.Read(p)
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
