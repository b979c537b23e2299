package memory

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/rollout"
)

// Limits of what is kept of the output of a revision.
const (
	maxLines  = 10_000
	lastLines = 1000 // that a zero LogQuery selects
)

// output is that of a revision.
type output struct {
	mu    sync.Mutex
	lines []string
	first int           // the number of lines[0], from 0
	more  chan struct{} // closed by the next line
	ended bool
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) write(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
	if over := len(o.lines) - maxLines; over >= maxLines/10 { // not at each line
		o.lines = slices.Clone(o.lines[over:])
		o.first += over
	}
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.ended = true
		close(o.more)
	}
}

func (o *output) read(ctx context.Context, q rollout.LogQuery) *outputReader {
	tail := q.Tail
	if tail <= 0 {
		tail = lastLines
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	end := o.first + len(o.lines)
	r := &outputReader{o: o, next: max(o.first, end-tail), last: end}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if q.Follow {
		r.last = -1
	}
	return r
}

// outputReader reads lines. It is one read of an output, which ends with its
// context.
type outputReader struct {
	o      *output
	ctx    context.Context
	cancel context.CancelFunc
	next   int // the line to be read
	last   int // the line to stop before; negative: none
	rest   []byte
}

func (r *outputReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.ctx.Err() != nil {
			return 0, io.EOF
		}
		more, ended := r.fill()
		switch {
		case len(r.rest) > 0:
		case ended:
			return 0, io.EOF
		default:
			select {
			case <-more:
			case <-r.ctx.Done():
			}
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill takes the lines that are there, or says what to wait for.
func (r *outputReader) fill() (more <-chan struct{}, ended bool) {
	r.o.mu.Lock()
	defer r.o.mu.Unlock()
	end := r.o.first + len(r.o.lines)
	if r.last >= 0 {
		end = min(end, r.last)
	}
	var b bytes.Buffer
	for r.next = max(r.next, r.o.first); r.next < end; r.next++ {
		b.WriteString(r.o.lines[r.next-r.o.first])
		b.WriteByte('\n')
	}
	r.rest = b.Bytes()
	return r.o.more, r.o.ended || r.last >= 0
}

func (r *outputReader) Close() error {
	r.cancel()
	return nil
}
