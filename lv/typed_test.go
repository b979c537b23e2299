package lv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

type banner struct {
	Name string `json:"name"`
}

// counted counts how often it is decoded.
type counted struct{ banner }

var decodings int

func (c *counted) UnmarshalJSON(text []byte) error {
	decodings++
	return json.Unmarshal(text, &c.banner)
}

func TestTypedRows(t *testing.T) {
	s := newSite(t)
	rows := lv.Of[banner](s.Table)
	v, err := rows.Save(t.Context(), "a", banner{"1"}, ada)
	require.NoError(t, err)
	require.Equal(t, v.ID, s.save("a", "1"))
	_, err = rows.Get(t.Context(), "a")
	require.ErrorIs(t, err, lv.ErrNotFound)
	s.publish(lv.Production, "a")
	got, err := rows.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, banner{"1"}, got)

	s.strategy(lv.Strategy{Target: s.save("a", "2"), Rules: greeted})
	s.strategy(lv.Strategy{Target: s.save("b", "2"), Rules: lv.Rules{{Field: "x", Relation: lv.RelationNotExists}}})
	for visitor, want := range map[string]banner{"Hello": {"2"}, "Bye": {"1"}} {
		got, err := rows.For(t.Context(), "a", hello(visitor))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err = rows.For(t.Context(), "b", nil)
	require.NoError(t, err, "a visitor of whom nothing is known is a visitor")
	require.Equal(t, banner{"2"}, got)

	_, err = lv.Of[func()](s.Table).Save(t.Context(), "a", func() {}, ada)
	require.ErrorIs(t, err, lv.ErrInvalid)
}

func TestAllTypedRowsOfAView(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	b, err := s.Save(t.Context(), "b", json.RawMessage(`{"name":5}`), ada)
	require.NoError(t, err)
	s.save("c", "3")
	s.publish("g", "a", "b", "c")
	s.del("c")
	s.publish("g", "c")
	for _, v := range []lv.View{{Env: "g", Own: true}, {Env: "g", Own: true, AsOf: 6}} {
		var seen []string
		for row, err := range lv.Of[banner](s.Table).All(t.Context(), v) {
			seen = append(seen, fmt.Sprint(row.ID, "=", row.Value.Name, " ", err != nil))
			if err != nil {
				require.ErrorContains(t, err, `row "b"`)
				require.ErrorContains(t, err, "lv_test.banner")
				require.Equal(t, b.ID, row.Version)
			}
		}
		require.Equal(t, []string{"a=1 false", "b= true", "c= false"}, seen, "%+v", v)
	}
	for _, err := range lv.Of[banner](s.Table).All(t.Context(), lv.View{Env: "g", Status: 1}) {
		require.ErrorIs(t, err, lv.ErrInvalid)
	}
	_, err = s.Release(t.Context(), lv.Production, ada, b.ID)
	require.NoError(t, err)
	_, err = lv.Of[banner](s.Table).Get(t.Context(), "b")
	require.ErrorContains(t, err, `row "b"`)
}

func TestARowIsDecodedOncePerVersion(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.save("b", "1")
	s.publish(lv.Production, "a", "b")
	rows := lv.Of[counted](s.Table)
	read := func() {
		for range 3 {
			_, err := rows.Get(t.Context(), "a")
			require.NoError(t, err)
			_, err = lv.Of[banner](s.Table).Get(t.Context(), "a")
			require.NoError(t, err)
			for _, err := range rows.All(t.Context(), lv.View{Env: "g"}) {
				require.NoError(t, err)
			}
		}
	}
	decodings = 0
	read()
	require.Equal(t, 2, decodings, "two rows")
	s.save("a", "2")
	s.publish(lv.Production, "a")
	read()
	require.Equal(t, 3, decodings, "one of them has changed")
	s.strategy(lv.Strategy{Target: s.save("b", "3"), Rules: greeted})
	read()
	require.Equal(t, 3, decodings, "who sees another version changes nothing")
	require.Zero(t, testing.AllocsPerRun(100, func() { rows.Get(context.Background(), "a") }))
}

func TestSubscribeFollowsProduction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for rows, err := range lv.Of[banner](s.Table).Subscribe(ctx) {
				if err != nil {
					seen = append(seen, "error")
					continue
				}
				seen = append(seen, fmt.Sprint(rows))
			}
		}()
		do := func(f func(), want ...string) {
			f()
			synctest.Wait()
			require.Equal(t, want, seen)
			seen = nil
		}
		do(func() {}, "map[]")
		do(func() { s.save("a", "1") })
		do(func() { s.publish(lv.Production, "a") }, "map[a:{1}]")
		do(func() { s.publish("g", "a") })
		do(func() { s.strategy(lv.Strategy{Target: s.save("a", "2"), Rules: greeted}) })
		do(func() {
			_, err := s.Save(ctx, "b", json.RawMessage(`[]`), ada)
			require.NoError(t, err)
			s.publish(lv.Production, "b")
		}, "error")
		do(func() { s.del("b"); s.publish(lv.Production, "b") }, "map[a:{1}]")
		cancel()
		<-ended
		require.Empty(t, seen)
	})
}
