package syncertest_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// heap is a Remote in memory.
type heap struct {
	*objects
	mu     sync.Mutex
	closed bool
}

// objects are what all handles of a heap have.
type objects struct {
	mu  sync.Mutex
	all map[string]stored
}

type stored struct {
	content string
	at      time.Time
}

func newHeap() *heap { return &heap{objects: &objects{all: make(map[string]stored)}} }

func (h *heap) again() *heap { return &heap{objects: h.objects} }

func (h *heap) use(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return cloudsync.ErrClosed
	}
	return ctx.Err()
}

func (h *heap) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

func (h *heap) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if err := h.use(ctx); err != nil {
		return err
	}
	if err := cloudsync.CheckName(name); err != nil {
		return err
	}
	data := make([]byte, body.Size())
	if n, err := body.ReadAt(data, 0); n < len(data) {
		return fmt.Errorf("body: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.put(name, string(data))
}

func (o *objects) put(name, content string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, taken := o.all[name]; taken {
		return cloudsync.ErrExists
	}
	o.all[name] = stored{content, time.Now().UTC()}
	return nil
}

func (h *heap) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := h.use(ctx); err != nil {
		return nil, err
	}
	if err := cloudsync.CheckName(name); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, cloudsync.ErrInvalid
	}
	h.objects.mu.Lock()
	defer h.objects.mu.Unlock()
	o, ok := h.all[name]
	if !ok {
		return nil, cloudsync.ErrNotFound
	}
	text := o.content[min(off, int64(len(o.content))):]
	if n >= 0 {
		text = text[:min(n, int64(len(text)))]
	}
	return io.NopCloser(until{ctx, strings.NewReader(text)}), nil
}

// until reads until its context ends.
type until struct {
	ctx context.Context // of one reading
	io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}

func (h *heap) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		if err := h.use(ctx); err != nil {
			yield(cloudsync.Object{}, err)
			return
		}
		for _, o := range h.sorted() {
			if strings.HasPrefix(o.Name, prefix) && o.Name > after && !yield(o, nil) {
				return
			}
		}
	}
}

func (o *objects) sorted() (all []cloudsync.Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(o.all)) {
		all = append(all, cloudsync.Object{Name: name, Size: int64(len(o.all[name].content)), Time: o.all[name].at})
	}
	return all
}

func (h *heap) Delete(ctx context.Context, name string) error {
	if err := h.use(ctx); err != nil {
		return err
	}
	if err := cloudsync.CheckName(name); err != nil {
		return err
	}
	h.objects.mu.Lock()
	defer h.objects.mu.Unlock()
	delete(h.all, name)
	return nil
}
