package sync

import (
	"context"
	"sync"
)

// each calls f for the numbers from 0 to n, several at a time, and waits for all.
// What f asks for is small, so that more calls are under way than of packs. The
// first error ends the others, and is returned.
func (r *repository) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first error
	var once sync.Once
	var all sync.WaitGroup
	most := r.most
	if most > 1 {
		most *= 4
	}
	slots := make(chan struct{}, most)
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			if err := f(ctx, i); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	all.Wait()
	if first == nil && n > 0 {
		return context.Cause(ctx)
	}
	return first
}
