package built_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/built"
)

func TestTheClockDoesNotRunBeforeTheProgramWasBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		require.False(t, built.Now().Before(now))
		require.False(t, built.Now().Before(built.At()))
		require.Equal(t, now, built.Latest(now, now.Add(-time.Hour), time.Time{}))
		require.Equal(t, now, built.Latest(time.Time{}, now, now.Add(-time.Hour)))
	})
}
