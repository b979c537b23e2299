package historytest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
)

// counter plays histories: those fail that have two steps of which the first
// byte is below 8.
type counter struct{ played int }

func (c *counter) play(steps []historytest.Step) string {
	c.played++
	low := 0
	for _, s := range steps {
		if s[0] < 8 {
			low++
		}
	}
	if low < 2 {
		return ""
	}
	return fmt.Sprintf("%d steps are low", low)
}

func TestAHistoryThatFailsNamesItsSeedAndIsShrunk(t *testing.T) {
	first, again := &counter{}, &counter{}
	why := historytest.Failure(t, func(t testing.TB) { historytest.Run(t, 300, first.play, again.play) })
	require.Regexp(t, `the history of seed \d+ fails; in 2 steps:\s+2 steps are low\s+\[\[[0-7] \d+ \d+\] \[[0-7] \d+ \d+\]\]`, why)
	require.Greater(t, first.played, 1)
	require.Greater(t, again.played, 5)
}

func TestUnlessInFullThreeHundredHistoriesArePlayed(t *testing.T) {
	for full, want := range map[string]int{"": 300, "1": 400} {
		t.Setenv("UPKEEP_FULL", full)
		played := 0
		historytest.Run(t, 400, func(steps []historytest.Step) string {
			require.GreaterOrEqual(t, len(steps), 5)
			played++
			return ""
		}, nil)
		require.Equal(t, want, played)
	}
}

func TestAHistoryIsThatOfItsSeed(t *testing.T) {
	require.Equal(t, historytest.Random(7), historytest.Random(7))
	require.NotEqual(t, historytest.Random(7), historytest.Random(8))
}

func TestAFailureEndsWhatFailsAndIsTheFirst(t *testing.T) {
	var order []string
	why := historytest.Failure(t, func(t testing.TB) {
		t.Cleanup(func() { order = append(order, "cleanup") })
		t.Errorf("first %d", 1)
		t.Error("second")
		require.Fail(t, "third")
		order = append(order, "never")
	})
	require.Equal(t, "first 1", why)
	require.Equal(t, []string{"cleanup"}, order)
	require.Empty(t, historytest.Failure(t, func(testing.TB) {}))
}
