package feed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// folder is the folder of a feed, as its publisher uses it.
type folder string

// unfinished is what the names of files begin with that are not objects yet.
const unfinished = ".unfinished-"

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

// temp makes a file that sweep removes if nobody else does.
func (d folder) temp() (*os.File, error) { return os.CreateTemp(string(d), unfinished+"*") }

// sweep removes what is unfinished, and these files.
func (d folder) sweep(gone map[string]bool) error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) || gone[e.Name()] {
			err = errors.Join(err, os.Remove(d.path(e.Name())))
		}
	}
	return errors.Join(err, durable.SyncDir(string(d)))
}

// object is one that is being written.
type object struct {
	in   folder
	file *os.File
	sum  hash.Hash
	size int64
}

func (d folder) create() (*object, error) {
	f, err := d.temp()
	if err != nil {
		return nil, err
	}
	return &object{in: d, file: f, sum: sha256.New()}, nil
}

// write appends, and returns where.
func (o *object) write(b []byte) (offset int64, err error) {
	offset = o.size
	o.sum.Write(b)
	o.size += int64(len(b))
	_, err = o.file.Write(b)
	return offset, err
}

// drop removes what is not finished.
func (o *object) drop() {
	if o.file != nil {
		_, _ = o.file.Close(), os.Remove(o.file.Name()) // else sweep does it
	}
}

// finish makes it an object of the feed, durable but for its name.
func (o *object) finish() (firmware.Object, error) {
	done := firmware.Object{Size: o.size, Digest: [32]byte(o.sum.Sum(nil))}
	done.Name = nameOf(done.Digest)
	err := errors.Join(o.file.Chmod(0o644), o.file.Sync(), o.file.Close())
	if err == nil {
		err = os.Rename(o.file.Name(), o.in.path(done.Name))
	}
	if err != nil {
		return done, fmt.Errorf("writing object %q: %w", done.Name, errors.Join(err, os.Remove(o.file.Name())))
	}
	o.file = nil
	return done, nil
}

// put makes an object of these bytes.
func (d folder) put(b []byte) (firmware.Object, error) {
	o, err := d.create()
	if err != nil {
		return firmware.Object{}, err
	}
	defer o.drop()
	if _, err := o.write(b); err != nil {
		return firmware.Object{}, err
	}
	return o.finish()
}

// index reads the index of a release.
func (d folder) index(ctx context.Context, r firmware.Release) (x firmware.Index, err error) {
	raw, err := d.read(ctx, r.Index.Name, 0, r.Index.Size, r.Index.Digest)
	if err == nil {
		err = x.UnmarshalBinary(raw)
	}
	if err == nil && x.Size != r.Size {
		err = fmt.Errorf("%w: an index of %d bytes, the image has %d", firmware.ErrCorrupt, x.Size, r.Size)
	}
	if err != nil {
		return x, fmt.Errorf("the index of version %q: %w", r.Version, err)
	}
	return x, nil
}

// read reads bytes of an object that have a digest.
func (d folder) read(ctx context.Context, name string, off, n int64, digest [32]byte) ([]byte, error) {
	body, err := Dir(d).Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw := make([]byte, n)
	if _, err := io.ReadFull(body, raw); err != nil {
		return nil, fmt.Errorf("object %q: %w", name, err)
	}
	if sha256.Sum256(raw) != digest {
		return nil, fmt.Errorf("%w: object %q has other bytes than were signed", firmware.ErrCorrupt, name)
	}
	return raw, nil
}

// image unpacks the image of a release into a file of a folder, of which nothing
// is left once it is closed, or this process has ended.
func (d folder) image(ctx context.Context, r firmware.Release, in string) (*image, error) {
	x, err := d.index(ctx, r)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(in, unfinished+"*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // where an open file cannot be removed, Close does it
	made := &image{File: f, size: x.Size}
	if err := d.unpack(ctx, r, x, f); err != nil {
		return nil, errors.Join(err, made.Close())
	}
	return made, nil
}

// unpack writes the image of a release.
func (d folder) unpack(ctx context.Context, r firmware.Release, x firmware.Index, to io.Writer) error {
	sum, u := sha256.New(), Keys{}.Unpacker()
	for i, s := range x.Segments {
		raw, err := d.unpacked(ctx, u, x, i, s)
		if err != nil {
			return err
		}
		sum.Write(raw)
		if _, err := to.Write(raw); err != nil {
			return err
		}
	}
	if [32]byte(sum.Sum(nil)) != r.Digest {
		return fmt.Errorf("%w: the image of version %q is not the one that was signed", firmware.ErrCorrupt, r.Version)
	}
	return nil
}

// unpacked is segment i, as it is by itself.
func (d folder) unpacked(ctx context.Context, u firmware.Unpacker, x firmware.Index, i int, s firmware.Segment) ([]byte, error) {
	_, size := x.Extent(i)
	p, err := alone(s)
	if err != nil {
		return nil, err
	}
	sent, err := d.read(ctx, p.Object, p.Offset, p.Size, p.Digest)
	if err != nil {
		return nil, err
	}
	raw := sent
	if p.Way == firmware.WayZstd {
		raw = make([]byte, size)
		err = u.Unpack(p.Way, sent, nil, raw)
	}
	if err == nil && sha256.Sum256(raw) != s.Digest {
		err = fmt.Errorf("%w: segment %d is not the one that was signed", firmware.ErrCorrupt, i+1)
	}
	return raw, err
}

// image is that of an earlier release.
type image struct {
	*os.File
	size int64
}

func (m *image) Size() int64 { return m.size }

func (m *image) Close() error {
	err := m.File.Close()
	if left := os.Remove(m.Name()); !errors.Is(left, fs.ErrNotExist) {
		err = errors.Join(err, left)
	}
	return err
}
