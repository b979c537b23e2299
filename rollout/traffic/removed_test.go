package traffic_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

func TestAServiceThatWasRemovedMayComeBackButNoOlderTable(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		ctx := context.Background()
		services := b.three()
		handler := b.router.Handler(web)
		b.set(5, services, 50, 50)
		b.asked(10)
		require.NoError(b, b.router.Set(ctx, web, rollout.Table{Generation: 6}))
		require.NoError(b, b.router.Drain(ctx, web, services["a"][0]))

		require.ErrorIs(b, b.router.Set(ctx, web, tableOf(5, services, 50, 50)), rollout.ErrStale)
		b.set(7, services, 0, 100)
		require.Same(b, handler, b.router.Handler(web))
		require.Equal(b, map[string]int{"b": 10}, b.asked(10))
		stats, err := b.router.Stats(ctx, web)
		require.NoError(b, err)
		require.EqualValues(b, 15, stats.Revisions["b"].Requests, "it is counted on")
	})
}
