package output

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/rollout"
)

const (
	lastLines = 1000 // that a zero LogQuery selects
	every     = 200 * time.Millisecond
)

// Read returns the last output of a revision, which may have none. If several
// replicas printed, each line begins with the name of its replica and " | ", and
// each has its share of q.Tail, at least a line. A line of more than 64 KiB is
// cut. With q.Follow it goes on until ctx ends.
func (k *Keeper) Read(ctx context.Context, id rollout.RevisionID, folder string, q rollout.LogQuery) (io.ReadCloser, error) {
	tail := q.Tail
	if tail <= 0 {
		tail = lastLines
	}
	r := k.use(id, folder)
	d := &reader{rev: r, outer: ctx, follow: q.Follow}
	d.ctx, d.cancel = context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scan()
	d.begin(tail)
	return d, nil
}

// reader is one read of a revision, which ends with its context.
type reader struct {
	rev    *revision
	outer  context.Context
	ctx    context.Context // ends with outer, and by Close
	cancel context.CancelFunc
	follow bool

	// Guarded by rev.mu:
	cursors []*cursor
	at      int  // of cursors
	several bool // replicas
	closed  bool

	rest []byte // is Read's
}

// cursor is where a reader is in a stream.
type cursor struct {
	stem string
	pos  int64
	end  int64 // when the read began
	said bool  // that there is no file
	splitter
}

// begin gives each replica its share of the tail. What one has no use for goes to
// others.
func (d *reader) begin(tail int) {
	r := d.rev
	printed := slices.DeleteFunc(slices.Clone(r.streams), func(s *stream) bool { return !s.printed() })
	have := make([]int, len(printed))
	for i, s := range printed {
		_, have[i] = r.last(s, tail)
	}
	for i, share := range shares(have, tail) {
		s := printed[i]
		begin, _ := r.last(s, share)
		d.cursors = append(d.cursors, &cursor{stem: s.stem, pos: begin, end: s.end()})
	}
	d.several = len(printed) > 1
}

// shares divides total among those that have so much, the least first.
func shares(have []int, total int) []int {
	order := make([]int, len(have))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return have[a] - have[b] })
	share := make([]int, len(have))
	for i, at := range order {
		share[at] = max(1, min(have[at], total/(len(have)-i)))
		total = max(0, total-share[at])
	}
	return share
}

func (d *reader) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		if err := context.Cause(d.outer); err != nil && !d.follow {
			return 0, err
		}
		if d.ctx.Err() != nil {
			return 0, io.EOF
		}
		if d.fill(); len(d.rest) > 0 {
			break
		}
		if !d.follow {
			return 0, io.EOF
		}
		_ = pause.For(d.ctx, every)
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// fill takes about a block of lines.
func (d *reader) fill() {
	r := d.rev
	r.mu.Lock()
	defer r.mu.Unlock()
	d.rest = nil
	if d.follow {
		d.join()
	}
	for idle := 0; idle < len(d.cursors) && len(d.rest) < block; {
		c := d.cursors[d.at%len(d.cursors)]
		more := d.step(c)
		if !more || d.follow && c.pos >= c.end {
			d.at++ // the next one's turn
		}
		if idle++; more {
			idle = 0
		}
	}
}

// join adds replicas that have printed since.
func (d *reader) join() {
	for _, s := range d.rev.streams {
		known := slices.ContainsFunc(d.cursors, func(c *cursor) bool { return c.stem == s.stem })
		if !known && s.printed() {
			d.cursors = append(d.cursors, &cursor{stem: s.stem, pos: s.first(), end: s.first()})
		}
	}
	d.several = d.several || len(d.cursors) > 1
}

// step reads a block of a stream. It reports whether there was anything.
func (d *reader) step(c *cursor) bool {
	r := d.rev
	s := r.byStem(c.stem)
	if l := s.live; l != nil && l.kept == nil && !c.said {
		c.said = true
		c.add([]byte(l.unsaid()), func(line []byte) { d.line(s, line) })
		return true
	}
	var buffer [block]byte
	want := int64(block)
	if !d.follow {
		want = min(want, c.end-c.pos)
	}
	if want > 0 {
		n, next := r.read(s, buffer[:want], c.pos)
		if c.pos = next; n > 0 {
			c.add(buffer[:n], func(line []byte) { d.line(s, line) })
			return true
		}
	}
	if !d.follow {
		c.rest(func(line []byte) { d.line(s, line) })
	}
	return false
}

func (d *reader) line(s *stream, line []byte) {
	if d.several {
		d.rest = append(d.rest, unescape(s.stem)...)
		d.rest = append(d.rest, " | "...)
	}
	d.rest = append(d.rest, line...)
	d.rest = append(d.rest, '\n')
}

// Close ends a Read that waits.
func (d *reader) Close() error {
	d.cancel()
	d.rev.mu.Lock()
	closed := d.closed
	d.closed = true
	d.rev.mu.Unlock()
	if !closed {
		d.rev.k.release(d.rev)
	}
	return nil
}
