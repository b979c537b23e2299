package httpadapter_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// mixed returns the good request of a target with what several inputs change of
// it, all at once.
func (t target) mixed(inputs ...input) input {
	good := t.good()
	all := input{request: t.good(), want: survived}
	for _, in := range inputs {
		all.name = strings.TrimPrefix(all.name+" + "+in.name, " + ")
		if in.method != good.method {
			all.method = in.method
		}
		if in.path != good.path {
			all.path = in.path
		}
		if in.query != good.query {
			all.query = in.query
		}
		if in.body != good.body {
			all.body = in.body
		}
		for name, values := range in.header {
			if !slices.Equal(values, good.header[name]) {
				all.request = all.with(name, values...)
			}
		}
		all.chunked = all.chunked || in.chunked
	}
	return all
}

// TestNoRouteOfRolloutsFallsForRandomInput mixes what the attack knows, the same
// at each run.
func TestNoRouteOfRolloutsFallsForRandomInput(t *testing.T) {
	t.Parallel()
	requests := 500
	if os.Getenv("UPKEEP_FULL") == "1" {
		requests = 5000
	}
	synctest.Test(t, func(t *testing.T) {
		s := narrowSite(t, nil, 8<<10)
		targets := slices.DeleteFunc(s.attacked(), func(t target) bool {
			return !documentsRollouts(t.Pattern) && !strings.HasPrefix(t.Pattern, ownRollouts)
		})
		require.Greater(t, len(targets), 15)
		r := rand.New(rand.NewPCG(1, 2))
		statuses := map[int]int{}
		for range requests / 100 {
			target := targets[r.IntN(len(targets))]
			inputs := target.inputs()
			slices.SortStableFunc(inputs, func(a, b input) int { return strings.Compare(a.name, b.name) }) // some come from maps
			for range 50 {                                                                                 // each twice
				var some []input
				for range 1 + r.IntN(3) {
					some = append(some, inputs[r.IntN(len(inputs))])
				}
				in := target.mixed(some...)
				require.NoError(t, s.strike(t, target, in, reply{}), "%s %s: %s", target.method, target.Pattern, in.name)
				again, err := s.answer(in.request)
				require.NoError(t, err)
				require.Less(t, again.StatusCode, 500, in.name)
				statuses[again.StatusCode]++
				s.settle(t)
			}
		}
		require.Greater(t, len(statuses), 5, "it is not all refused for the same: %s", fmt.Sprint(slices.Sorted(maps.Keys(statuses))))
	})
}
