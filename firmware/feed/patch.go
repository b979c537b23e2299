package feed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/cdc"
)

// marking are the sizes of the chunks by which places of one image are found in
// another.
var marking = cdc.Cutter{Min: 512, Average: 2 << 10, Max: 8 << 10}

// mark is a chunk at a place.
type mark struct {
	hash   uint64 // of its content
	offset int64
}

func marksOf(raw []byte, offset int64) (all []mark) {
	for len(raw) > 0 {
		n := marking.Cut(raw)
		all = append(all, markOf(raw[:n], offset))
		raw, offset = raw[n:], offset+int64(n)
	}
	return all
}

func markOf(raw []byte, offset int64) mark {
	d := sha256.Sum256(raw)
	return mark{binary.LittleEndian.Uint64(d[:]), offset}
}

// places are where the marks of an image are. What is there more than once, such
// as zeros, has no place.
type places map[uint64]int64

const nowhere = -1

func (p places) add(m mark) {
	if _, known := p[m.hash]; known {
		m.offset = nowhere
	}
	p[m.hash] = m.offset
}

// grain is how exactly it is looked how far something has moved.
const grain = 64 << 10

// moved is how far most of the marks have moved, or else as far as before.
// Equal votes are for what is nearest to that, and then for the lower one.
func (p places) moved(marks []mark, before int64) int64 {
	votes := map[int64]int{}
	for _, m := range marks {
		if at, known := p[m.hash]; known && at != nowhere {
			votes[floor(at-m.offset)]++
		}
	}
	if len(votes) == 0 {
		return before
	}
	best := slices.MinFunc(slices.Collect(maps.Keys(votes)), func(a, b int64) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), cmp.Compare(abs(a-floor(before)), abs(b-floor(before))), cmp.Compare(a, b))
	})
	return best*grain + grain/2
}

func floor(n int64) int64 { return (n - ((n%grain)+grain)%grain) / grain }

func abs(n int64) int64 { return max(n, -n) }

// patchAll makes the patches from an earlier release.
func (m *maker) patchAll(ctx context.Context, r firmware.Release, price bool) error {
	base, err := m.w.dir.image(ctx, r, m.w.Dir)
	if err != nil {
		return err
	}
	defer base.Close()
	where := places{}
	err = marking.Each(ctx, io.NewSectionReader(base, 0, base.size), func(raw []byte, offset int64) bool {
		where.add(markOf(raw, offset))
		return true
	})
	if err != nil {
		return err
	}
	o, err := m.w.dir.create()
	if err != nil {
		return err
	}
	defer o.drop()
	windows := m.windows(where, base.size)
	parts := make([]firmware.Part, len(m.patches))
	err = inOrder(ctx, len(parts), func(i int) ([]byte, error) { return m.patch(base, windows[i], i) }, func(i int, sent []byte) (err error) {
		p := firmware.Part{
			Way: firmware.WayPatch, Size: int64(len(sent)), Digest: sha256.Sum256(sent), From: r.Digest,
			Base: windows[i].offset, BaseSize: windows[i].size,
		}
		if m.worth(i, p.Size) {
			p.Offset, err = o.write(sent)
			parts[i] = p
		}
		return err
	})
	if err != nil {
		return err
	}
	if price {
		err = m.price(ctx, base, parts)
	}
	if err != nil || o.size == 0 {
		return err
	}
	done, err := o.finish()
	for i, p := range parts {
		if p.Object = done.Name; p.Size > 0 {
			m.patches[i] = append(m.patches[i], p)
		}
	}
	return err
}

// extent is a part of an earlier image.
type extent struct{ offset, size int64 }

// windows are where the patches of the segments start from.
func (m *maker) windows(where places, size int64) (all []extent) {
	delta := int64(0)
	for i, marks := range m.marks {
		delta = where.moved(marks, delta)
		offset, length := m.index.Extent(i)
		w := extent{size: min(windows*m.index.SegmentSize, size)}
		w.offset = min(max(offset+length/2+delta-w.size/2, 0), size-w.size)
		all = append(all, w)
	}
	return all
}

func (m *maker) patch(base Content, w extent, i int) ([]byte, error) {
	raw, err := m.segment(i)
	if err != nil {
		return nil, err
	}
	window := make([]byte, w.size)
	if _, err := base.ReadAt(window, w.offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the earlier image: %w", err)
	}
	return m.pack(raw, window)
}

// worth reports whether a patch of this size is worth its place in the index.
func (m *maker) worth(i int, size int64) bool {
	const place = 64 // bytes, about
	return size+place < m.alone(i)
}

// alone is what segment i costs by itself.
func (m *maker) alone(i int) int64 {
	parts := m.index.Segments[i].Parts
	return parts[len(parts)-1].Size
}

// price tells what it costs a device that has an earlier image.
func (m *maker) price(ctx context.Context, base *image, patches []firmware.Part) error {
	have := map[[32]byte]bool{}
	err := cdc.Each(ctx, io.NewSectionReader(base, 0, base.size), func(raw []byte, _ int64) bool {
		have[sha256.Sum256(raw)] = true
		return true
	})
	if err != nil {
		return err
	}
	for i, s := range m.index.Segments {
		chunks := m.alone(i)
		if len(s.Parts) > 1 {
			missing := int64(0)
			for _, c := range m.lists[i].List {
				if !have[c.Digest] {
					missing += c.Sent
				}
			}
			chunks = s.Parts[0].Size + min(missing, chunks)
		}
		m.cost[firmware.WayChunks] += chunks
		m.cost[firmware.WayPatch] += cmp.Or(patches[i].Size, chunks)
	}
	return nil
}
