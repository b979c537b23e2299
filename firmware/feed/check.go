package feed

import (
	"context"
	"fmt"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/bootvar"
)

// check refuses what a device could not make sense of.
func check(r firmware.Release) error {
	if _, err := version.NewVersion(r.Version); err != nil || len(r.Version) > 256 {
		return fmt.Errorf("%w: version %.64q is none", firmware.ErrInvalid, r.Version)
	}
	if _, err := version.NewVersion(r.MinFrom); r.MinFrom != "" && err != nil {
		return fmt.Errorf("%w: MinFrom %.64q is no version", firmware.ErrInvalid, r.MinFrom)
	}
	if r.Cohort < 0 || r.Cohort > 100 || r.Epoch < 0 {
		return fmt.Errorf("%w: a cohort of %d percent, epoch %d", firmware.ErrInvalid, r.Cohort, r.Epoch)
	}
	if err := bootvar.CheckAll(r.Meta); err != nil {
		return fmt.Errorf("%w: Meta: %w", firmware.ErrInvalid, err)
	}
	return nil
}

// needs notes the objects that a release is made of.
func (d folder) needs(ctx context.Context, r firmware.Release, needed map[string]bool) error {
	x, err := d.index(ctx, r)
	if err != nil {
		return err
	}
	if x.Skipped > 0 {
		return fmt.Errorf("%w: a later version has written the index of version %q", firmware.ErrCorrupt, r.Version)
	}
	needed[r.Index.Name] = true
	for _, s := range x.Segments {
		for _, p := range s.Parts {
			listed := needed[p.Object]
			needed[p.Object] = true
			if p.Way != firmware.WayChunks || listed {
				continue
			}
			list, err := d.chunks(ctx, p) // those of a release are all in one object
			if err != nil {
				return err
			}
			needed[list.Object] = true
		}
	}
	return nil
}

// chunks reads a list of chunks.
func (d folder) chunks(ctx context.Context, p firmware.Part) (list firmware.Chunks, err error) {
	sent, err := d.read(ctx, p.Object, p.Offset, p.Size, p.Digest)
	if err != nil {
		return list, err
	}
	return list, list.UnmarshalBinary(sent)
}
