package lv_test

import (
	"bytes"
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func (s site) shown(rows ...string) []lv.Shown {
	s.t.Helper()
	all, err := s.Shown(s.t.Context(), rows...)
	require.NoError(s.t, err)
	return all
}

func TestADeletionSaysWhereItsRowIsStillShown(t *testing.T) {
	s := newSite(t)
	a1 := s.save("a", "1")
	b1 := s.save("b", "1")
	s.save("c", "1")
	s.publish(lv.Production, "a")
	s.publish("z", "a")
	s.publish("g", "a", "c")
	s.publish("follows", "a")
	_, err := s.Reset(t.Context(), "follows", ada, "a")
	require.NoError(t, err)
	low := s.strategy(lv.Strategy{Target: a1, Priority: 1, Rules: greeted})
	high := s.strategy(lv.Strategy{Target: a1, Priority: 2, Disabled: true, Rules: greeted})
	s.strategy(lv.Strategy{Target: b1, Rules: greeted})
	for _, row := range []string{"a", "b", "c"} {
		s.del(row)
	}
	s.publish("hides", "a", "b")

	all := s.shown("c", "a", "never")
	require.Equal(t, []lv.Shown{
		{Row: "c", Envs: []lv.Env{"g"}},
		{Row: "a", Envs: []lv.Env{lv.Production, "g", "z"}, Strategies: []lv.Strategy{high, low}},
		{Row: "never"},
	}, all)
	require.Empty(t, s.shown())
	require.Equal(t, "a=- b=- c=-", s.shows(lv.View{Working: true, Deleted: true}))

	s.publish(lv.Production, "a", "b", "c")
	s.publish("z", "a")
	require.NoError(t, s.DeleteStrategy(t.Context(), high.ID, ada))
	low.Target = b1
	s.strategy(low)
	require.Equal(t, []lv.Shown{{Row: "a", Envs: []lv.Env{"g"}}}, s.shown("a"))
	s.publish("g", "a", "c")
	require.Equal(t, []lv.Shown{{Row: "a"}, {Row: "c"}}, s.shown("a", "c"))
	require.Equal(t, "b=-", s.shows(lv.View{Working: true, Deleted: true}))
}

func TestAStrategyThatShowsADeletionShowsNothing(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	s.strategy(lv.Strategy{Target: s.del("a"), Rules: greeted})
	require.Equal(t, []lv.Shown{{Row: "a", Envs: []lv.Env{lv.Production}}}, s.shown("a"))
}

// unreadable is a store whose strategies cannot be read.
type unreadable struct{ lv.VersionStore }

func (s unreadable) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return func(yield func(lv.TableInfo, error) bool) {
		for info, err := range s.VersionStore.Tables(ctx, ids...) {
			for i, st := range info.Strategies {
				info.Strategies[i] = lv.Strategy{ID: st.ID, Target: st.Target, Priority: st.Priority, Rev: st.Rev, Seq: st.Seq, Corrupt: true}
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func TestWhatIsDamagedIsShownUntilItIsReplaced(t *testing.T) {
	rot(t, func(s site, store *rotting, _ *bytes.Buffer) {
		a, b := s.save("a", "1"), s.save("b", "1")
		s.publish("g", "a")
		st := s.strategy(lv.Strategy{Target: a, Rules: greeted})
		s.strategy(lv.Strategy{Target: b, Rules: greeted})
		s.del("a")
		store.bad[a] = true
		for _, other := range []lv.VersionStore{store, unreadable{store}} {
			got := serve(t, lv.Config{VersionStore: other}).shown("a")
			require.Len(t, got, 1)
			require.Equal(t, []lv.Env{"g"}, got[0].Envs)
			require.Len(t, got[0].Strategies, 1)
			require.Equal(t, st.ID, got[0].Strategies[0].ID)
		}
	})
}
