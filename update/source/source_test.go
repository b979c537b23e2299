package source_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// collect returns what a source yields for a package.
func collect(ctx context.Context, s update.Source, pkg string) (all []update.Release, err error) {
	for r, err := range s.Versions(ctx, pkg) {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

func TestStaticYieldsItsVersionsForEveryPackage(t *testing.T) {
	list := []string{"1.0.0", "1.1.0"}
	s := source.Static(list...)
	list[0] = "9.9.9"
	for _, pkg := range []string{"demo/site", "other"} {
		releases, err := collect(t.Context(), s, pkg)
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
	_, err := collect(ctx, source.Static("1.0.0"), "demo/site")
	require.ErrorIs(t, err, context.Canceled)
}
