package lv_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestASnapshotIsAllThatReadersSee(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.save("b", "1")
	s.publish(lv.Production, "a", "b")
	s.del("b")
	s.publish("g", "b")
	s.publish("h", "a")
	a2 := s.save("a", "2")
	low := s.strategy(lv.Strategy{Target: a2, Priority: 1, Rules: greeted})
	high := s.strategy(lv.Strategy{Target: a2, Priority: 2, Rules: greeted})
	s.strategy(lv.Strategy{Target: a2, Priority: 3, Rules: greeted, Disabled: true})

	snapshot, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	other := s.service.Table("app", "other")
	_, err = other.Save(t.Context(), "x", page("1"), ada)
	require.NoError(t, err)
	_, err = other.Get(t.Context(), "x", lv.View{})
	require.ErrorIs(t, err, lv.ErrNotFound)
	r, err := other.Publish(t.Context(), lv.Production, ada, "x")
	require.NoError(t, err)
	later, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, snapshot.Seq, later.Seq)
	require.Equal(t, r.Seq, later.After, "what came since is of another table")

	s.publish(lv.Production, "a")
	require.Equal(t, []lv.Env{"g", "h"}, snapshot.Grays)
	require.Equal(t, "a=1 b=1", shown(t, snapshot.Rows(lv.Production)), "of that moment")
	require.Equal(t, "b=-", shown(t, snapshot.Rows("g")))
	require.Equal(t, "a=1", shown(t, snapshot.Rows("h")))
	require.Empty(t, shown(t, snapshot.Rows("unheard")))
	require.Len(t, snapshot.Strategies, 2)
	require.Equal(t, high, snapshot.Strategies[0].Strategy)
	require.Equal(t, low, snapshot.Strategies[1].Strategy)
	require.Equal(t, a2, snapshot.Strategies[0].Shows.Version)
}

func TestATagNamesOneStateOfOneStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tag := func(s site) string {
			tag, err := s.Tag(t.Context())
			require.NoError(t, err)
			return tag
		}
		tags := map[string]bool{}
		for _, name := range []string{"1", "2"} { // each in a store that begins anew
			time.Sleep(time.Second)
			s := newSite(t)
			target := s.save("a", name)
			for _, change := range []func(){
				func() { s.publish(lv.Production, "a") }, func() { s.publish("g", "a") },
				func() { s.strategy(lv.Strategy{Target: target, Rules: greeted}) },
			} {
				change()
				require.False(t, tags[tag(s)], "another state has another tag")
				tags[tag(s)] = true
				require.Equal(t, tag(s), tag(serve(t, lv.Config{VersionStore: s.store})), "after a restart it is the same")
			}
		}
		empty := tag(newSite(t))
		require.False(t, tags[empty])
		require.Equal(t, empty, tag(newSite(t)))
	})
}
