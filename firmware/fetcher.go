package firmware

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// fetcher gets the segments of an image, each by the first way that works.
type fetcher struct {
	s     *Service
	index Index
	base  Image // the running image, or nil
	// from is its digest; zero, as with an image that a factory wrote, until a
	// patch has fitted.
	from    [32]byte
	misfits map[[32]byte]int // patches from an image that is not the running one, while that is unknown
	dear    int              // the segment whose chunks are pulled even if another way costs less: there is none left

	missing  []string // objects that the feed does not have
	unfit    map[Way]int
	pulled   map[Way]int64 // since take
	notes    []string      // since take
	stream   *stream       // the request that is open, or nil
	sent     []byte        // as large as the largest part so far
	window   []byte
	raw      []byte // of a segment that was not sent as it is
	chunks   *chunkStore
	unpacker Unpacker
	ahead    lists
	costly   []bool          // segments whose chunks cost more than another way, as far as their lists were read
	life     context.Context // of every request
	failed   int             // tries since a segment came
	rate     limiter
}

func newFetcher(ctx context.Context, s *Service, index Index, base Image, from [32]byte, missing []string) *fetcher {
	return &fetcher{
		life: ctx,
		s:    s, index: index, base: base, from: from, dear: -1, missing: slices.Clone(missing), misfits: map[[32]byte]int{},
		unfit: map[Way]int{}, pulled: map[Way]int64{}, rate: limiter{rate: s.config.Rate},
		unpacker: s.config.Verifier.Unpacker(),
	}
}

// news reports whether there is something to take.
func (f *fetcher) news() bool { return len(f.notes) > 0 || len(f.pulled) > 0 }

// take returns what was pulled and noted since the last call.
func (f *fetcher) take() (map[Way]int64, []string) {
	pulled, notes := maps.Clone(f.pulled), f.notes
	clear(f.pulled)
	f.notes = nil
	return pulled, notes
}

func (f *fetcher) close() { f.hangUp() }

func (f *fetcher) hangUp() {
	if f.stream != nil {
		f.stream.close()
		f.stream = nil
	}
}

// tries is how often bytes that are not those that were signed are asked for
// again, when there is no other way.
const tries = 3

// guesses is how many patches from an image may fail before the running one is
// taken for another. One is not enough: a mounted image has changed somewhere.
const guesses = 2

// skips returns why a part is not asked for.
func (f *fetcher) skips(p Part) error {
	switch {
	case slices.Contains(f.missing, p.Object):
		return fmt.Errorf("%w: object %q", ErrNotFound, p.Object)
	case p.Way != WayPatch || p.From == [32]byte{}:
		return nil
	case f.from != [32]byte{} && f.from != p.From, f.from == [32]byte{} && f.misfits[p.From] >= guesses:
		return fmt.Errorf("%w: a patch from another image than the running one", ErrCorrupt)
	}
	return nil
}

// lacks returns what of the running image is not there that a part starts from.
// Nothing is asked for then, so that a request for the other way goes on.
func (f *fetcher) lacks(p Part) error {
	switch {
	case p.Way != WayPatch && p.Way != WayChunks:
		return nil
	case f.base == nil:
		return fmt.Errorf("%w: there is no image to start from", ErrCorrupt)
	case p.Way == WayPatch && p.Base+p.BaseSize > f.base.Size():
		return fmt.Errorf("%w: the running image is shorter", ErrCorrupt)
	}
	return nil
}

// errDear reports chunks that cost more than another way.
var errDear = errors.New("firmware: another way costs less")

// segment returns the raw bytes of a segment, which are valid until the next
// call. What comes by one way and does not fit falls to the next; chunks that
// cost more than another way come last. An error that passes is one after which
// the same way may work, and more than what the others have come to.
func (f *fetcher) segment(ctx context.Context, i int) ([]byte, error) {
	parts := f.index.Segments[i].Parts
	var passing, failure error
	var broken, last []int // ways that do not work, and those that are left for the end
	for at := 0; at < len(parts)+len(last); at++ {
		n := at
		if at >= len(parts) {
			n, f.dear = last[at-len(parts)], i
		}
		p := parts[n]
		if why := cmp.Or(f.skips(p), f.lacks(p)); why != nil {
			failure = cmp.Or(failure, why)
			continue
		}
		raw, err := []byte(nil), errDear
		if p.Way != WayChunks || !f.dearer(i) {
			raw, err = f.attempts(ctx, i, n)
		}
		switch {
		case err == nil:
			f.failed = 0
			for _, n := range broken {
				f.missing = append(f.missing, parts[n].Object)
			}
			return raw, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errDear):
			last = append(last, n)
			continue
		case isNotExist(err):
			f.missing = append(f.missing, p.Object)
			f.notes = append(f.notes, cut(fmt.Sprintf("the feed has no object %q (%s)", p.Object, p.Way), maxReason))
		case errors.Is(err, ErrCorrupt):
			if f.unfit[p.Way]++; f.unfit[p.Way] == 1 {
				f.notes = append(f.notes, cut(fmt.Sprintf("segment %d: %v", i+1, err), maxReason))
			}
		default:
			if f.failed++; f.failed < tries*(n+1) || n == len(parts)-1 {
				return nil, err
			}
			passing, broken = err, append(broken, n)
			f.notes = append(f.notes, cut(fmt.Sprintf("segment %d by %s does not come: %v", i+1, p.Way, err), maxReason))
		}
		failure = err
	}
	return nil, cmp.Or(passing, failure)
}

// attempts returns the raw bytes of a segment by one of its ways, the last of
// which is tried more than once.
func (f *fetcher) attempts(ctx context.Context, i, n int) (raw []byte, err error) {
	s := f.index.Segments[i]
	p := s.Parts[n]
	_, size := f.index.Extent(i)
	for try := 1; ; try++ {
		raw, err = f.part(ctx, i, n, size)
		if err == nil && !s.is(raw, p) {
			err = fmt.Errorf("%w: by %s it is not the segment that was signed", ErrCorrupt, p.Way)
		}
		if err == nil {
			if p.Way == WayPatch {
				f.from = p.From
			}
			return raw, nil
		}
		f.hangUp()
		if last := n == len(s.Parts)-1; !last || !errors.Is(err, ErrCorrupt) || try == tries || ctx.Err() != nil {
			break
		}
		f.ahead.sent = f.ahead.sent[:0]
	}
	if p.Way == WayPatch && errors.Is(err, ErrCorrupt) {
		f.misfits[p.From]++
	}
	return nil, err
}

// is reports whether raw, which came as p says, is the segment. Of what is sent
// as it is the digest has been taken already.
func (s Segment) is(raw []byte, p Part) bool {
	if p.Way == WayRaw {
		return p.Digest == s.Digest
	}
	return sha256.Sum256(raw) == s.Digest
}

// part returns the raw bytes of a segment by one of its ways.
func (f *fetcher) part(ctx context.Context, i, n int, size int64) ([]byte, error) {
	p := f.index.Segments[i].Parts[n]
	sent, err := f.read(ctx, i, n)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(sent) != p.Digest {
		return nil, fmt.Errorf("%w: object %q has other bytes than were signed", ErrCorrupt, p.Object)
	}
	if p.Way == WayRaw {
		return sent, nil
	}
	f.raw = grow(f.raw, size)
	switch p.Way {
	case WayChunks:
		return f.assemble(ctx, sent)
	case WayPatch:
		f.window = grow(f.window, p.BaseSize)
		if _, err := f.base.ReadAt(f.window, p.Base); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: reading the running image: %w", ErrCorrupt, err)
		}
		return f.raw, f.unpacker.Unpack(p.Way, sent, f.window, f.raw)
	default:
		return f.raw, f.unpacker.Unpack(p.Way, sent, nil, f.raw)
	}
}

// grow returns a slice of n bytes, which is b's memory if that is enough. What
// is new has some room, as the next part may be a little larger.
func grow(b []byte, n int64) []byte {
	const room = 64 << 10
	if int64(cap(b)) < n {
		return make([]byte, n, (n+room-1)/room*room)
	}
	return b[:n]
}

// read returns the bytes of a part as they are sent. Parts that follow one
// another in one object come by one request.
func (f *fetcher) read(ctx context.Context, i, n int) ([]byte, error) {
	p := f.index.Segments[i].Parts[n]
	if p.Way == WayChunks {
		return f.list(ctx, i, n)
	}
	if f.stream == nil || f.stream.object != p.Object || f.stream.at != p.Offset || f.stream.end < p.Offset+p.Size {
		f.hangUp()
		stream, err := f.open(ctx, p.Object, p.Offset, f.extent(i, p, math.MaxInt64)-p.Offset)
		if err != nil {
			return nil, err
		}
		f.stream = stream
	}
	f.sent = grow(f.sent, p.Size)
	read, err := f.stream.fill(ctx, f.sent, &f.rate)
	f.pulled[p.Way] += int64(read)
	return f.sent, err
}

// extent is where the parts end that follow p, which is of segment i, in its
// object and are the first choice of the segments that follow: all together, if
// there are several, at most so many bytes.
func (f *fetcher) extent(i int, p Part, most int64) int64 {
	end := p.Offset + p.Size
	for i := i + 1; i < len(f.index.Segments); i++ {
		parts := f.index.Segments[i].Parts
		j := f.first(i)
		if j < 0 || parts[j].Object != p.Object || parts[j].Offset != end || end+parts[j].Size-p.Offset > most {
			break
		}
		end += parts[j].Size
	}
	return end
}

// first is by which of its ways segment i will be tried first, or -1.
func (f *fetcher) first(i int) int {
	return slices.IndexFunc(f.index.Segments[i].Parts, func(p Part) bool {
		return f.skips(p) == nil && f.lacks(p) == nil && (p.Way != WayChunks || !f.dearer(i))
	})
}

// stream is one open request for a range of an object.
type stream struct {
	object  string
	at, end int64
	body    io.ReadCloser
	guard   *guard
}

// open asks for a range. The request may serve many segments, so that it lasts
// as long as the fetcher does.
func (f *fetcher) open(ctx context.Context, object string, off, n int64) (*stream, error) {
	g := newGuard(f.life, f.s.config.Stall)
	defer context.AfterFunc(ctx, func() { g.cancel(context.Cause(ctx)) })()
	body, err := f.s.config.Feed.Get(g.ctx, object, off, n)
	if err != nil {
		err = g.reason(named(object, err))
		g.stop()
		return nil, err
	}
	g.timer.Stop()
	return &stream{object: object, at: off, end: off + n, body: body, guard: g}, nil
}

// named is the error of a feed about an object.
func named(object string, err error) error {
	if isNotExist(err) {
		return fmt.Errorf("%w: object %q", ErrNotFound, object)
	}
	return fmt.Errorf("object %q: %w", object, err)
}

func (s *stream) close() {
	s.guard.stop()
	s.body.Close()
}

// fill reads as many bytes as buf has. The time between its reads is ours: the
// guard does not count it.
func (s *stream) fill(ctx context.Context, buf []byte, rate *limiter) (n int, err error) {
	for n < len(buf) {
		size, err := rate.allow(ctx, len(buf)-n)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return n, err
		}
		s.guard.timer.Reset(s.guard.stall)
		read, err := s.body.Read(buf[n : n+size])
		s.guard.timer.Stop()
		rate.spent -= int64(size - read)
		n += read
		s.at += int64(read)
		if errors.Is(err, io.EOF) && n < len(buf) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && n < len(buf) {
			return n, s.guard.reason(fmt.Errorf("%w: object %q: %w", ErrUnavailable, s.object, err))
		}
	}
	return n, nil
}

// limiter spreads bytes over time.
type limiter struct {
	rate  func() int64
	since time.Time
	spent int64 // bytes since then
	limit int64 // bytes a second, as last asked for
}

// allow waits until some of n bytes may come, and returns how many.
func (l *limiter) allow(ctx context.Context, n int) (int, error) {
	if l.rate == nil {
		return n, nil
	}
	for {
		if now := time.Now(); now.Sub(l.since) >= time.Second {
			l.since, l.spent, l.limit = now, 0, l.rate()
		}
		if l.limit <= 0 {
			return n, nil
		}
		if l.spent < l.limit {
			size := int(min(int64(n), l.limit-l.spent, max(l.limit/10, 1)))
			l.spent += int64(size)
			return size, nil
		}
		if err := pause.For(ctx, time.Second-time.Since(l.since)); err != nil {
			return 0, err
		}
	}
}
