package feed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/cdc"
)

// Add puts an image into the feed as release r, whose Size, Digest and Index it
// fills in, and whose Time is that of the Publisher if it is zero. It returns
// how many bytes, index included, each way costs a device that has the highest
// lower version; without one only WayZstd, by which all of it is sent, what zstd
// cannot pack as it is.
func (p Publisher) Add(ctx context.Context, r firmware.Release, image Content) (map[firmware.Way]int64, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	w, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if _, err := w.find(r.Version); err == nil {
		return nil, fmt.Errorf("%w: version %q", firmware.ErrExists, r.Version)
	}
	if _, err := w.signers(); err != nil { // before the work
		return nil, err
	}
	r = r.Clone()
	r.Time = cmp.Or(r.Time.UTC(), w.Time)
	m := &maker{w: w, image: image, cost: map[firmware.Way]int64{}}
	if err := m.make(ctx, &r); err != nil {
		return nil, fmt.Errorf("version %q: %w", r.Version, err)
	}
	if err := w.needAgain(ctx, r); err != nil {
		return nil, err
	}
	w.catalog.Releases = append([]firmware.Release{r}, w.catalog.Releases...)
	return m.cost, w.save()
}

// maker makes the objects of a release.
type maker struct {
	w     *work
	image Content
	index firmware.Index
	marks [][]mark // of each segment
	packer
	// patches are those of each segment, in the order of bases.
	patches [][]firmware.Part
	lists   []firmware.Chunks
	stored  map[[32]byte]firmware.Chunk // of the chunks object
	cost    map[firmware.Way]int64
}

func (m *maker) make(ctx context.Context, r *firmware.Release) error {
	m.index = firmware.Index{Size: m.image.Size(), SegmentSize: m.w.SegmentSize}
	r.Size = m.index.Size
	if r.Size <= 0 {
		return fmt.Errorf("%w: the image is empty", firmware.ErrInvalid)
	}
	digest, err := m.scan(ctx)
	if err != nil {
		return err
	}
	r.Digest = digest
	if err := m.packAll(ctx); err != nil {
		return err
	}
	for i, base := range m.bases(*r) {
		if err := m.patchAll(ctx, base, i == 0); err != nil {
			return fmt.Errorf("patches from version %q: %w", base.Version, err)
		}
	}
	for i := range m.index.Segments { // the cheapest first, which chunks are depends on the device
		s := &m.index.Segments[i]
		slices.SortStableFunc(m.patches[i], func(a, b firmware.Part) int { return cmp.Compare(a.Size, b.Size) })
		s.Parts = append(m.patches[i], s.Parts...)
	}
	raw, err := m.index.MarshalBinary()
	if err != nil {
		return err
	}
	if r.Index, err = m.w.dir.put(raw); err != nil {
		return err
	}
	for way := range m.cost {
		m.cost[way] += r.Index.Size
	}
	return nil
}

// segment reads segment i.
func (m *maker) segment(i int) ([]byte, error) {
	offset, size := m.index.Extent(i)
	raw := make([]byte, size)
	if n, err := m.image.ReadAt(raw, offset); n < len(raw) {
		return nil, fmt.Errorf("reading the image: %w", cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return raw, nil
}

// scan reads the image for the first time: its digests, and its marks.
func (m *maker) scan(ctx context.Context) (digest [32]byte, err error) {
	sum := sha256.New()
	count := int((m.index.Size-1)/m.index.SegmentSize + 1)
	m.index.Segments = make([]firmware.Segment, count)
	m.patches, m.marks, m.lists = make([][]firmware.Part, count), make([][]mark, count), make([]firmware.Chunks, count)
	for i := range m.index.Segments {
		raw, err := m.segment(i)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return digest, err
		}
		sum.Write(raw)
		m.index.Segments[i].Digest = sha256.Sum256(raw)
		offset, _ := m.index.Extent(i)
		m.marks[i] = marksOf(raw, offset)
	}
	return [32]byte(sum.Sum(nil)), nil
}

// bases are the releases that patches are made from: the highest versions below
// that of r that r can replace, on hardware that has both.
func (m *maker) bases(r firmware.Release) (all []firmware.Release) {
	wanted, _ := version.NewVersion(r.Version)
	least, _ := version.NewVersion(r.MinFrom)
	for _, base := range m.w.catalog.Releases {
		v, err := version.NewVersion(base.Version)
		if err != nil || !v.LessThan(wanted) || least != nil && v.LessThan(least) || base.Digest == r.Digest || apart(r.Hardware, base.Hardware) {
			continue
		}
		if all = append(all, base); len(all) >= m.w.Patches {
			break
		}
	}
	return all[:min(len(all), max(m.w.Patches, 0))]
}

// apart reports whether no revision has both.
func apart(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(h string) bool { return slices.Contains(b, h) })
}

// packed is a segment that was packed.
type packed struct {
	way    firmware.Way // by itself
	digest [32]byte
	sent   []byte
	chunks []chunk
}

// little is the share of a segment, one in so many bytes, that zstd must save:
// to unpack it costs a device more than to get less than that.
const little = 50

type chunk struct {
	digest [32]byte
	size   int
	sent   []byte
}

// packAll makes the objects that need no other release: the segments by
// themselves, the chunks, and the lists of chunks.
func (m *maker) packAll(ctx context.Context) error {
	segments, err := m.w.dir.create()
	if err != nil {
		return err
	}
	defer segments.drop()
	chunks, err := m.w.dir.create()
	if err != nil {
		return err
	}
	defer chunks.drop()
	m.stored = map[[32]byte]firmware.Chunk{}
	parts := make([]firmware.Part, len(m.index.Segments))
	err = inOrder(ctx, len(parts), m.packed, func(i int, p packed) error {
		at, err := segments.write(p.sent)
		if err != nil {
			return err
		}
		parts[i] = firmware.Part{Way: p.way, Offset: at, Size: int64(len(p.sent)), Digest: p.digest}
		return m.store(chunks, i, p.chunks)
	})
	if err != nil {
		return err
	}
	done, err := segments.finish()
	if err != nil {
		return err
	}
	m.cost[firmware.WayZstd] = done.Size
	if done, err = chunks.finish(); err != nil {
		return err
	}
	if err := m.list(done.Name, parts); err != nil {
		return err
	}
	name := nameOf([32]byte(segments.sum.Sum(nil)))
	for i, p := range parts {
		p.Object = name
		m.index.Segments[i].Parts = append(m.index.Segments[i].Parts, p)
	}
	return nil
}

// packed packs segment i by itself, and its chunks.
func (m *maker) packed(i int) (p packed, err error) {
	raw, err := m.segment(i)
	if err != nil {
		return p, err
	}
	p.way = firmware.WayZstd
	if p.sent, err = m.pack(raw, nil); err != nil {
		return p, err
	}
	if len(p.sent) > len(raw)-len(raw)/little {
		p.way, p.sent = firmware.WayRaw, raw
	}
	p.digest = sha256.Sum256(p.sent)
	seen := map[[32]byte]bool{}
	for rest := raw; len(rest) > 0; {
		n := cdc.Cut(rest)
		c := chunk{digest: sha256.Sum256(rest[:n]), size: n}
		if !seen[c.digest] {
			seen[c.digest] = true
			if c.sent, err = m.pack(rest[:n], nil); err != nil {
				return p, err
			}
		}
		p.chunks, rest = append(p.chunks, c), rest[n:]
	}
	return p, nil
}

// store writes the chunks of segment i that no earlier one has.
func (m *maker) store(o *object, i int, chunks []chunk) error {
	for _, c := range chunks {
		known, stored := m.stored[c.digest]
		if !stored {
			at, err := o.write(c.sent)
			if err != nil {
				return err
			}
			known = firmware.Chunk{
				Digest: c.digest, Size: int64(c.size), Offset: at, Sent: int64(len(c.sent)), SentDigest: sha256.Sum256(c.sent),
			}
			m.stored[c.digest] = known
		}
		m.lists[i].List = append(m.lists[i].List, known)
	}
	return nil
}

// list writes the lists of chunks, but for segments that cost less by themselves.
func (m *maker) list(chunks string, parts []firmware.Part) error {
	o, err := m.w.dir.create()
	if err != nil {
		return err
	}
	defer o.drop()
	var all []firmware.Part
	for i := range m.lists {
		m.lists[i].Object = chunks
		raw, err := m.lists[i].MarshalBinary()
		if err != nil {
			return err
		}
		p := firmware.Part{Way: firmware.WayChunks, Size: int64(len(raw)), Digest: sha256.Sum256(raw)}
		if p.Size < parts[i].Size {
			if p.Offset, err = o.write(raw); err != nil {
				return err
			}
		} else {
			p.Size = 0
		}
		all = append(all, p)
	}
	if o.size == 0 {
		return nil
	}
	done, err := o.finish()
	for i, p := range all {
		if p.Object = done.Name; p.Size > 0 {
			m.index.Segments[i].Parts = append(m.index.Segments[i].Parts, p)
		}
	}
	return err
}

// inOrder does make for 0 to n-1, some at a time, and use with what came of it,
// one after the other.
func inOrder[T any](ctx context.Context, n int, make func(int) (T, error), use func(int, T) error) error {
	const most = 4 // as each needs memory
	workers := min(runtime.GOMAXPROCS(0), most)
	for first := 0; first < n; first += workers {
		var made [most]T
		var errs [most]error
		var wg sync.WaitGroup
		for k := range min(workers, n-first) {
			wg.Go(func() { made[k], errs[k] = make(first + k) })
		}
		wg.Wait()
		if err := errors.Join(append(errs[:], context.Cause(ctx))...); err != nil {
			return err
		}
		for k := range min(workers, n-first) {
			if err := use(first+k, made[k]); err != nil {
				return err
			}
		}
	}
	return nil
}
