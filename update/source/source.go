package source

import (
	"context"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/update"
)

// Static is a fixed list of versions, the same for every package.
func Static(versions ...string) update.Source { return static(slices.Clone(versions)) }

type static []string

func (s static) Versions(ctx context.Context, _ string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		for _, v := range s {
			if err := ctx.Err(); err != nil {
				yield(update.Release{}, err)
				return
			}
			if !yield(update.Release{Version: v}, nil) {
				return
			}
		}
	}
}
