package web

import (
	"iter"

	"github.com/upkeep-go/upkeep/update"
)

// Releases yields what read returns, which is called once for each iteration.
func Releases(read func() ([]update.Release, error)) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		releases, err := read()
		if err != nil {
			yield(update.Release{}, err)
			return
		}
		for _, r := range releases {
			if !yield(r, nil) {
				return
			}
		}
	}
}
