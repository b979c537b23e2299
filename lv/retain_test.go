package lv_test

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// versions returns the ids of a row's history, oldest first.
func (s site) versions(row string) (ids []lv.VersionID) {
	for v, err := range s.History(context.Background(), lv.Query{Row: row}) {
		require.NoError(s.t, err)
		ids = append(ids, v.ID)
	}
	slices.Reverse(ids)
	return ids
}

func TestRunForgetsWhatNobodyNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, lv.Config{Store: memory.New(), Retain: lv.Retention{Versions: 2, Age: time.Hour}})
		saves := func(row string, names ...string) (ids []lv.VersionID) {
			for _, name := range names {
				ids = append(ids, s.save(row, name))
			}
			return ids
		}
		a := saves("a", "1", "2", "3", "4", "5", "6", "7", "8", "9")
		for _, step := range []struct {
			env lv.Env
			v   lv.VersionID
		}{{"", a[0]}, {"", a[1]}, {"", a[2]}, {"g", a[3]}} {
			_, err := s.Release(t.Context(), step.env, ada, step.v)
			require.NoError(t, err)
		}
		s.strategy(lv.Strategy{Target: a[4], Rules: greeted})
		s.plan(lv.Release{Changes: []lv.Change{{Row: "a", To: a[5]}}})
		given := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", To: a[6]}}})
		require.NoError(t, s.Cancel(t.Context(), given.ID, ada))
		many := make([]lv.Edit, 0, 500)
		for i := range 250 {
			many = append(many, lv.Edit{Op: lv.OpSave, Row: "m", Content: page(string(rune('a' + i)))})
		}
		_, err := s.Edit(t.Context(), ada, many...)
		require.NoError(t, err)
		p, q := saves("p", "1", "2", "3", "4"), saves("q", "1", "2", "3", "4")
		for _, versions := range [][]lv.VersionID{{p[0], q[0]}, {p[1], q[1]}, {p[2]}} {
			_, err := s.Release(t.Context(), lv.Production, ada, versions...)
			require.NoError(t, err)
		}
		k, l := saves("k", "1", "2", "3", "4"), saves("l", "1", "2", "3", "4")
		for _, versions := range [][]lv.VersionID{{k[0], l[0]}, {k[1], l[0]}, {l[1]}, {l[2]}} {
			_, err := s.Release(t.Context(), lv.Production, ada, versions...)
			require.NoError(t, err)
		}
		time.Sleep(30 * time.Minute)
		young := saves("y", "1", "2", "3", "4")

		time.Sleep(31 * time.Minute)
		s.run()
		synctest.Wait()
		// a[0] is not needed: its successor has been replaced. a[1] is what a
		// revert would show, a[2] and a[3] are shown, a[4] is a strategy's, a[5]
		// is planned, a[6] was, and the last two are the newest.
		require.Equal(t, []lv.VersionID{a[1], a[2], a[3], a[4], a[5], a[7], a[8]}, s.versions("a"))
		require.Len(t, s.versions("m"), 2)
		require.Equal(t, p[1:], s.versions("p"))
		require.Equal(t, q[1:], s.versions("q"), "what published p and q can no longer be reverted")
		require.Equal(t, k, s.versions("k"), "what published k can be reverted though l, which it did not move, has moved")
		require.Equal(t, l[1:], s.versions("l"))
		require.Equal(t, young, s.versions("y"))
		require.Equal(t, "a=3 k=2 l=3 p=3 q=2", s.shows(lv.View{}))
		_, err = s.Get(t.Context(), "a", lv.View{AsOf: 10})
		require.ErrorIs(t, err, lv.ErrCompacted)

		time.Sleep(61 * time.Minute)
		require.Equal(t, young[2:], s.versions("y"))
	})
}

// blind is a store that does not say what is referred to.
type blind struct{ lv.VersionStore }

func (b blind) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return func(yield func(lv.Version, error) bool) {
		for v, err := range b.VersionStore.Versions(ctx, t, q) {
			v.Live = nil
			if !yield(v, err) {
				return
			}
		}
	}
}

func TestRunForgetsNothingThatHasComeToBeReferredTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New().Versions()
		s := serve(t, lv.Config{VersionStore: blind{store}, Retain: lv.Retention{Versions: 1}})
		first := s.save("a", "1")
		s.publish(lv.Production, "a")
		s.save("a", "2")
		last := s.save("a", "3")
		s.run()
		synctest.Wait()
		require.Equal(t, []lv.VersionID{first, last}, s.versions("a"))
	})
}

// idle is a store that counts how often all releases of a table are read.
type idle struct {
	lv.VersionStore
	reads atomic.Int32
}

func (i *idle) Releases(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	if q == (lv.Query{}) {
		i.reads.Add(1)
	}
	return i.VersionStore.Releases(ctx, t, q)
}

func TestWhereNothingIsToBeForgottenNoReleaseIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &idle{VersionStore: memory.New().Versions()}
		s := serve(t, lv.Config{VersionStore: store, Retain: lv.Retention{Versions: 2}})
		s.save("a", "1")
		s.save("a", "2")
		s.run()
		time.Sleep(24 * time.Hour)
		require.Zero(t, store.reads.Load())
		s.save("a", "3")
		time.Sleep(24 * time.Hour)
		require.NotZero(t, store.reads.Load())
		require.Len(t, s.versions("a"), 2)
	})
}

func TestWithoutRetentionNothingIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for _, name := range []string{"1", "2", "3"} {
			s.save("a", name)
		}
		s.run()
		time.Sleep(1000 * time.Hour)
		require.Len(t, s.versions("a"), 3)
	})
}
