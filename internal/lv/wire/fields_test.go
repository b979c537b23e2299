package wire_test

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

// values makes the values of rules, as they are read.
func values(int) any { return "value" }

// What readers need is in an event, and nothing but what a test names is not.
func TestNoFieldOfAnEventIsLeftOutOfTheFeed(t *testing.T) {
	want := filltest.New[lv.Event](values)
	text, err := json.Marshal(wire.EventOf(want))
	require.NoError(t, err)
	var told wire.Event
	require.NoError(t, json.Unmarshal(text, &told))
	want.Strategy.By, want.Strategy.Corrupt = lv.By{}, false // are for editors
	require.Equal(t, want, told.Event())
}

func TestNoFieldIsLeftOutOfASnapshot(t *testing.T) {
	rows := []lv.Row{filltest.New[lv.Row](), filltest.New[lv.Row]()}
	rows[0].ID, rows[1].ID = "a", "b"
	want := filltest.New[lv.Snapshot](values, func(int) func(lv.Env) iter.Seq2[lv.Row, error] {
		return func(lv.Env) iter.Seq2[lv.Row, error] {
			return func(yield func(lv.Row, error) bool) {
				_ = yield(rows[0], nil) && yield(rows[1], nil)
			}
		}
	})
	var text bytes.Buffer
	table := filltest.New[lv.TableID]()
	require.NoError(t, wire.WriteSnapshot(&text, table, want))
	of, got, err := wire.ReadSnapshot(&text)
	require.NoError(t, err)
	require.Equal(t, table, of)

	for i := range rows {
		rows[i].Status = 0 // is of a working row
	}
	for _, env := range append([]lv.Env{lv.Production}, want.Grays...) {
		require.Equal(t, rows, shown(t, got.Rows(env)))
	}
	for i := range want.Strategies {
		s := &want.Strategies[i]
		s.By, s.Strategy.Corrupt, s.Shows.Status = lv.By{}, false, 0
	}
	want.Rows, got.Rows = nil, nil
	require.Equal(t, want, got)
}

func shown(t *testing.T, all iter.Seq2[lv.Row, error]) (rows []lv.Row) {
	for row, err := range all {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return slices.Clip(rows)
}
