package feed_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

const day = 24 * time.Hour

// prune prunes on this day.
func (s *shop) prune(at time.Duration, keep int, after time.Duration) {
	s.Helper()
	s.Time = when.Add(at)
	require.NoError(s, s.Prune(s.Context(), keep, after))
}

func TestAWithdrawnReleaseIsGoneAndPruned(t *testing.T) {
	s := newShop(t)
	s.three()
	require.ErrorIs(t, s.Remove(t.Context(), "9"), firmware.ErrNotFound)
	require.NoError(t, s.Remove(t.Context(), "1.2.0"))
	require.Len(t, s.catalog().Releases, 2)
	many := len(s.files())
	require.ErrorIs(t, s.Prune(t.Context(), 0, -1), firmware.ErrInvalid)
	s.prune(0, 5, -1)
	assert.Less(t, len(s.files()), many)
	s.prune(0, 1, -1)
	require.Len(t, s.catalog().Releases, 1)
	// catalog, lock, index, segments, chunks, lists, and a patch from what was pruned
	assert.Len(t, s.files(), 7)
	require.NoError(t, s.Verify(t.Context(), s.verifier))
}

// A device that has the catalog of yesterday, or is in the middle of an update,
// asks for what the feed had then.
func TestWhatACatalogNamesStaysUntilItHasExpired(t *testing.T) {
	s := newShop(t)
	s.three()
	yesterday := s.files() // which expires on day 30
	s.Time = when.Add(day)
	require.NoError(t, s.Remove(t.Context(), "1.2.0")) // its catalog on day 31
	there := func(says string) {
		t.Helper()
		now := s.files()
		for name, digest := range yesterday {
			if name != firmware.CatalogName {
				assert.Equal(t, digest, now[name], says)
			}
		}
	}
	s.prune(2*day, 1, 0)
	there("found")
	require.Len(t, s.catalog().Releases, 1)
	s.prune(20*day, 1, 0)
	s.prune(30*day, 1, 0)
	there("there is a device that has the catalog of day 1")
	s.prune(31*day, 1, 0)
	assert.Len(t, s.files(), 7)
	require.NoError(t, s.Verify(t.Context(), s.verifier))
}

func TestWhatIsNotNeededGoesAfterAnAgeThatIsSaid(t *testing.T) {
	s := newShop(t)
	s.three()
	many := len(s.files())
	s.prune(day, 1, 2*day)
	s.prune(3*day-time.Second, 1, 2*day)
	assert.Len(t, s.files(), many+1, "and what is known of them")
	s.prune(3*day, 1, 2*day)
	assert.Less(t, len(s.files()), many)
}

func TestWhatIsNeededAgainIsNotPruned(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	s.add("1.1.0", code(2, 16))
	require.NoError(t, s.Remove(t.Context(), "1.0.0"))
	s.prune(0, 9, 0)
	s.Time = when.Add(20 * day)
	s.add("1.0.0", code(1, 16)) // which makes the same objects
	again := s.files()
	require.NoError(t, s.Remove(t.Context(), "1.0.0")) // for the devices of that hour till day 50
	s.prune(40*day, 9, 0)
	for name := range again {
		assert.Contains(t, s.files(), name)
	}
	s.prune(71*day, 9, 0) // 30 days after the catalog of day 40
	assert.Less(t, len(s.files()), len(again))
}

func TestWhatPruneHasNotedMayBeLost(t *testing.T) {
	s := newShop(t)
	s.three()
	s.prune(0, 1, 0)
	before := s.files()
	require.Contains(t, before, ".unneeded")
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, ".unneeded"), []byte("{"), 0o600))
	s.prune(29*day, 1, 0)
	assert.Len(t, s.files(), len(before), "it has found them now")
	s.prune(59*day, 1, 0)
	assert.Len(t, s.files(), 8, "with two patches")
}

func TestPruneRemovesNothingWhenAnIndexIsDamaged(t *testing.T) {
	s := newShop(t)
	s.three()
	name := s.catalog().Releases[0].Index.Name
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, name), []byte("x"), 0o600))
	before := s.files()
	require.ErrorIs(t, s.Prune(t.Context(), 1, -1), firmware.ErrCorrupt)
	assert.Equal(t, before, s.files())
}
