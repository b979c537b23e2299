package source_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
)

func TestStaticYieldsItsVersionsForEveryPackage(t *testing.T) {
	list := []string{"1.0.0", "1.1.0"}
	s := source.Static(list...)
	list[0] = "9.9.9"
	for _, pkg := range []string{"demo/site", "other"} {
		releases, err := sourcetest.Collect(t.Context(), s, pkg)
		require.NoError(t, err)
		require.Equal(t, []update.Release{{Version: "1.0.0"}, {Version: "1.1.0"}}, releases)
	}
}

func TestStaticStopsWithItsReader(t *testing.T) {
	n := 0
	for range source.Static("1.0.0", "1.1.0").Versions(t.Context(), "demo/site") {
		n++
		break
	}
	require.Equal(t, 1, n)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sourcetest.Collect(ctx, source.Static("1.0.0"), "demo/site")
	require.ErrorIs(t, err, context.Canceled)
}
