package filltest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
)

type inner struct {
	Name string
	On   bool
}

type record struct {
	ID     int64
	Small  uint8
	Share  float64
	Wait   time.Duration
	Time   time.Time
	Raw    json.RawMessage
	Bytes  []byte
	Sum    [2]byte
	List   []inner
	ByName map[string]*inner
	Any    any
}

func TestNoFieldStaysZero(t *testing.T) {
	value := filltest.New[record](func(n int) any { return n })
	require.Empty(t, filltest.Zeros(value))
	require.NotZero(t, value.Sum[1])
	require.Len(t, value.List, 2)
	require.NotEqual(t, value.List[0], value.List[1])
	require.True(t, value.List[1].On)
	require.Len(t, value.ByName, 2)
	require.Equal(t, value.Time, value.Time.UTC().Truncate(time.Millisecond))
	require.True(t, json.Valid(value.Raw))
	require.IsType(t, 0, value.Any)
}

func TestWhatATypeHoldsOfItselfIsFilledOnce(t *testing.T) {
	type tree struct {
		Name     string
		Children []tree
		Parent   *tree
	}
	value := filltest.New[tree]()
	require.Len(t, value.Children, 2)
	require.NotNil(t, value.Parent)
	for _, below := range []tree{value.Children[0], value.Children[1], *value.Parent} {
		require.Equal(t, tree{Name: below.Name}, below)
		require.NotEmpty(t, below.Name)
	}
}

func TestWhatCannotBeMadePanics(t *testing.T) {
	require.PanicsWithValue(t, "filltest: no maker of error", func() { filltest.New[struct{ Err error }]() })
	type hidden struct{ name string }
	require.PanicsWithValue(t, "filltest: filltest_test.hidden.name is not exported", func() { filltest.New[[]hidden]() })
	made := hidden{name: "made"}
	require.Equal(t, []hidden{made, made}, filltest.New[[]hidden](func(int) hidden { return made }))
}

func TestZerosNamesWhatIsMissing(t *testing.T) {
	value := filltest.New[record](func(n int) any { return n })
	value.Wait, value.Time, value.Any = 0, time.Time{}, nil
	value.List[0].On, value.List[1] = false, inner{}
	for name := range value.ByName {
		value.ByName[name].Name = ""
	}
	require.Equal(t, []string{"Wait", "Time", "List.On", "List.Name", "ByName.Name", "Any"}, filltest.Zeros(&value))
	require.Equal(t, []string{"List"}, filltest.Zeros([]struct{ List []inner }{{}, {}}))
}
