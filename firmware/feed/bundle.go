package feed

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/upkeep-go/upkeep/firmware"
)

// Bundle writes a release as one file, to be brought by hand: its signed head,
// its index, and its segments as they are packed by themselves.
func (p Publisher) Bundle(ctx context.Context, number string, to io.Writer) error {
	w, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	i, err := w.find(number)
	if err != nil {
		return err
	}
	r := w.catalog.Releases[i]
	payload, err := encodeBundle(firmware.Bundle{Product: w.Product, Issued: w.Time, Expires: w.Time.Add(w.Expires), Release: r})
	head, err := w.seal(typeBundle, payload, err)
	if err != nil {
		return err
	}
	front := binary.BigEndian.AppendUint32([]byte(firmware.BundleMagic), uint32(len(head)))
	if _, err := to.Write(append(front, head...)); err != nil {
		return err
	}
	raw, err := w.dir.read(ctx, r.Index.Name, 0, r.Index.Size, r.Index.Digest)
	if err != nil {
		return err
	}
	var x firmware.Index
	if err := x.UnmarshalBinary(raw); err != nil {
		return err
	}
	if _, err := to.Write(raw); err != nil {
		return err
	}
	for i, s := range x.Segments {
		p, err := alone(s)
		if err != nil {
			return fmt.Errorf("segment %d: %w", i+1, err)
		}
		sent, err := w.dir.read(ctx, p.Object, p.Offset, p.Size, p.Digest)
		if err != nil {
			return err
		}
		if _, err := to.Write(sent); err != nil {
			return err
		}
	}
	return nil
}

// alone is the part that has a segment by itself: the last.
func alone(s firmware.Segment) (firmware.Part, error) {
	p := s.Parts[len(s.Parts)-1]
	if p.Way != firmware.WayZstd && p.Way != firmware.WayRaw {
		return p, fmt.Errorf("%w: the index does not say how it is packed", firmware.ErrCorrupt)
	}
	return p, nil
}
