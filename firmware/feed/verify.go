package feed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/upkeep-go/upkeep/firmware"
)

// Verify reads the feed as a device would that trusts v: the catalog, and every
// release by every way. Of a patch from a release that is no longer listed only
// the bytes are compared that are sent. It needs no Keys and no rights to write,
// changes nothing, and may run beside a change. The images that patches start from
// it unpacks one by one, into a file of os.TempDir without a name.
func (p Publisher) Verify(ctx context.Context, v firmware.Verifier) error {
	d := folder(p.Dir)
	raw, err := os.ReadFile(d.path(firmware.CatalogName))
	if err != nil {
		return err
	}
	c, _, err := v.Catalog(ctx, raw, nil)
	if err != nil {
		return err
	}
	if p.Product != "" && c.Product != p.Product {
		return fmt.Errorf("%w: the catalog is for product %q", firmware.ErrMismatch, c.Product)
	}
	var wrong []error
	for _, r := range c.Releases {
		if err := d.verify(ctx, v, c, r); err != nil {
			wrong = append(wrong, fmt.Errorf("version %q: %w", r.Version, err))
		}
	}
	return errors.Join(wrong...)
}

// verify gets a release by every way.
func (d folder) verify(ctx context.Context, v firmware.Verifier, c firmware.Catalog, r firmware.Release) error {
	x, err := d.index(ctx, r)
	if err != nil {
		return err
	}
	if err := d.unpack(ctx, r, x, io.Discard); err != nil {
		return err
	}
	u, done := v.Unpacker(), map[[32]byte]bool{}
	for _, base := range c.Releases {
		if done[base.Digest] || !usesPatches(x, base.Digest) {
			continue
		}
		done[base.Digest] = true
		if err := d.verifyPatches(ctx, u, x, base); err != nil {
			return err
		}
	}
	return d.verifyParts(ctx, u, x, nil, func(p firmware.Part) bool { return p.Way != firmware.WayPatch || !done[p.From] })
}

// verifyPatches gets the segments by the patches from another release.
func (d folder) verifyPatches(ctx context.Context, u firmware.Unpacker, x firmware.Index, r firmware.Release) error {
	base, err := d.image(ctx, r, os.TempDir())
	if err != nil {
		return err
	}
	defer base.Close()
	return d.verifyParts(ctx, u, x, base, func(p firmware.Part) bool { return p.Way == firmware.WayPatch && p.From == r.Digest })
}

// verifyParts gets the segments by some of their parts.
func (d folder) verifyParts(ctx context.Context, u firmware.Unpacker, x firmware.Index, base io.ReaderAt, some func(firmware.Part) bool) error {
	for i, s := range x.Segments {
		for _, p := range s.Parts {
			if !some(p) {
				continue
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := d.verifyPart(ctx, u, x, i, p, base); err != nil {
				return fmt.Errorf("segment %d by %s: %w", i+1, p.Way, err)
			}
		}
	}
	return nil
}

func usesPatches(x firmware.Index, from [32]byte) bool {
	for _, s := range x.Segments {
		for _, p := range s.Parts {
			if p.Way == firmware.WayPatch && p.From == from {
				return true
			}
		}
	}
	return false
}

func (d folder) verifyPart(ctx context.Context, u firmware.Unpacker, x firmware.Index, i int, p firmware.Part, base io.ReaderAt) error {
	_, size := x.Extent(i)
	raw, err := d.read(ctx, p.Object, p.Offset, p.Size, p.Digest)
	if err != nil || p.Way == firmware.WayPatch && base == nil {
		return err
	}
	switch p.Way {
	case firmware.WayChunks:
		raw, err = d.joined(ctx, u, raw)
	case firmware.WayPatch:
		window := make([]byte, p.BaseSize)
		if _, err := base.ReadAt(window, p.Base); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		sent := raw
		raw = make([]byte, size)
		err = u.Unpack(p.Way, sent, window, raw)
	case firmware.WayZstd:
		sent := raw
		raw = make([]byte, size)
		err = u.Unpack(p.Way, sent, nil, raw)
	}
	if err == nil && sha256.Sum256(raw) != x.Segments[i].Digest {
		err = fmt.Errorf("%w: it is not the segment that was signed", firmware.ErrCorrupt)
	}
	return err
}

// joined is what a list of chunks makes, all of which come from the feed.
func (d folder) joined(ctx context.Context, u firmware.Unpacker, sent []byte) (raw []byte, err error) {
	var list firmware.Chunks
	if err := list.UnmarshalBinary(sent); err != nil {
		return nil, err
	}
	for _, c := range list.List {
		sent, err := d.read(ctx, list.Object, c.Offset, c.Sent, c.SentDigest)
		if err != nil {
			return nil, err
		}
		one := make([]byte, c.Size)
		if err := u.Unpack(firmware.WayZstd, sent, nil, one); err != nil {
			return nil, err
		}
		if sha256.Sum256(one) != c.Digest {
			return nil, fmt.Errorf("%w: a chunk is not the one that was signed", firmware.ErrCorrupt)
		}
		raw = append(raw, one...)
	}
	return raw, nil
}
