package filltest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
)

func TestScribbleReachesAllThatIsShared(t *testing.T) {
	type deep struct {
		Record  record
		Pointer *inner
		Lists   [][]inner
		Of      [1][]int
	}
	value := filltest.New[deep](func(n int) any { return &n })
	copied := value
	filltest.Scribble(value)
	require.NotZero(t, value.Record.ID, "what is in the value itself stays")
	require.Zero(t, *copied.Pointer)
	require.Zero(t, *copied.Record.Any.(*int))
	require.Equal(t, make([][]inner, 2), copied.Lists)
	require.Equal(t, make([]int, 2), copied.Of[0])
	require.Len(t, copied.Record.ByName, 2)
	for _, v := range copied.Record.ByName {
		require.Nil(t, v)
	}
	filltest.Scribble(record{}) // nothing to do
}
