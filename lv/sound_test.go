package lv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// rotting is a store some of whose versions are damaged. It says so, or hands
// out what is no JSON.
type rotting struct {
	lv.VersionStore
	bad  map[lv.VersionID]bool
	says bool
}

func (r *rotting) spoil(content *json.RawMessage, row string, v lv.VersionID) error {
	switch {
	case !r.bad[v] || *content == nil:
		return nil
	case r.says:
		*content = nil
		return &lv.CorruptError{Table: lv.TableID{App: "app", Schema: "banners"}, Row: row, Version: v}
	}
	*content = json.RawMessage(`{"name":"`)
	return nil
}

func (r *rotting) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		for row, err := range r.VersionStore.Rows(ctx, t, v) {
			if err == nil {
				err = r.spoil(&row.Content, row.ID, row.Version)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (r *rotting) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return func(yield func(lv.Version, error) bool) {
		for v, err := range r.VersionStore.Versions(ctx, t, q) {
			if err == nil {
				err = r.spoil(&v.Content, v.Row, v.ID)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

func (r *rotting) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		for e, err := range r.VersionStore.Watch(ctx, after) {
			for i := range e.Rows {
				e.Rows[i].Corrupt = r.spoil(&e.Rows[i].Content, e.Rows[i].Row, e.Rows[i].To) != nil
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// rot runs f over both kinds of a store, whose log it gets.
func rot(t *testing.T, f func(s site, store *rotting, log *bytes.Buffer)) {
	for name, says := range map[string]bool{"the store says so": true, "the store hands out what is no JSON": false} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			store := &rotting{memory.New().Versions(), map[lv.VersionID]bool{}, says}
			f(serve(t, lv.Config{VersionStore: store, Logger: slog.New(slog.NewTextHandler(&log, nil))}), store, &log)
		})
	}
}

// corrupt checks that an error is about a version.
func corrupt(t *testing.T, row string, v lv.VersionID, err error) {
	t.Helper()
	var damaged *lv.CorruptError
	require.ErrorAs(t, err, &damaged)
	require.ErrorIs(t, err, lv.ErrCorrupt)
	require.ErrorIs(t, err, storage.ErrCorrupt)
	require.Equal(t, lv.CorruptError{Table: lv.TableID{App: "app", Schema: "banners"}, Row: row, Version: v}, *damaged)
}

// sounds returns the rows of a view that are sound, and how many are not.
func (s site) sounds(v lv.View) (all string, damaged int) {
	s.t.Helper()
	sound := func(yield func(lv.Row, error) bool) {
		for row, err := range s.Rows(context.Background(), v) {
			if row.Corrupt {
				require.ErrorIs(s.t, err, lv.ErrCorrupt)
				require.Nil(s.t, row.Content)
				damaged++
			} else if !yield(row, err) {
				return
			}
		}
	}
	return shown(s.t, sound), damaged
}

func TestADamagedRowIsAnErrorToWhoAsksForItAndTheOthersAreServed(t *testing.T) {
	rot(t, func(s site, store *rotting, log *bytes.Buffer) {
		s.save("a", "1")
		b := s.save("b", "1")
		s.save("c", "1")
		s.publish(lv.Production, "a", "b", "c")
		s.publish("g", "b")
		store.bad[b] = true
		seq, err := s.Seq(t.Context())
		require.NoError(t, err)
		for range 3 {
			for _, v := range []lv.View{
				{}, {Env: "g"}, {Env: "other"}, {Working: true}, {AsOf: seq}, {For: hello("x")}, {Rows: []string{"c", "b", "a"}, After: ""},
			} {
				all, damaged := s.sounds(v)
				require.Len(t, all, len("a=1 c=1"), "%+v", v)
				require.Equal(t, 1, damaged, "%+v", v)
				_, err = s.Get(t.Context(), "b", v)
				corrupt(t, "b", b, err)
				_, err = s.Get(t.Context(), "a", v)
				require.NoError(t, err)
			}
			_, err = s.Get(t.Context(), "b", lv.View{Env: "g", Own: true})
			corrupt(t, "b", b, err)
		}
		typed := lv.Of[struct{ Name string }](s.Table)
		_, err = typed.Get(t.Context(), "b")
		corrupt(t, "b", b, err)
		names := 0
		for row, err := range typed.All(t.Context(), lv.View{}) {
			if row.ID == "b" {
				corrupt(t, "b", b, err)
			} else {
				require.NoError(t, err)
				names++
			}
		}
		require.Equal(t, 2, names)
		_, err = s.Table.Release(t.Context(), "new", ada, b)
		corrupt(t, "b", b, err)
		require.Equal(t, 1, strings.Count(log.String(), "a content is damaged"), log.String())
		require.Contains(t, log.String(), "app=app schema=banners row=b version="+string(rune('0'+b)))

		s.save("b", "2")
		s.publish(lv.Production, "b")
		require.Equal(t, "a=1 b=2 c=1", s.shows(lv.View{}), "another content takes its place")
		_, err = s.Get(t.Context(), "b", lv.View{Env: "g"})
		corrupt(t, "b", b, err)
	})
}

func TestWhatADamagedStrategyTargetHidesIsAnErrorToItsVisitorsAlone(t *testing.T) {
	rot(t, func(s site, store *rotting, _ *bytes.Buffer) {
		s.save("a", "1")
		s.publish(lv.Production, "a")
		target := s.save("a", "2")
		s.strategy(lv.Strategy{Target: target, Rules: greeted})
		store.bad[target] = true
		for range 2 {
			_, err := s.Get(t.Context(), "a", lv.View{For: hello("Hello")})
			corrupt(t, "a", target, err)
			all, damaged := s.sounds(lv.View{For: hello("Hello")})
			require.Empty(t, all)
			require.Equal(t, 1, damaged)
			require.Equal(t, "a=1", s.shows(lv.View{For: hello("Bye")}))
			require.Equal(t, "a=1", s.shows(lv.View{}))
			s = serve(t, lv.Config{VersionStore: store})
		}
	})
}

func TestReadersInMemoryGoOnWhenADamagedVersionIsReleased(t *testing.T) {
	rot(t, func(s site, store *rotting, log *bytes.Buffer) {
		s.save("a", "1")
		s.save("b", "1")
		s.publish(lv.Production, "a", "b")
		require.Equal(t, "a=1 b=1", s.shows(lv.View{}))
		a := s.save("a", "2")
		s.save("b", "2")
		_, err := s.store.PutRelease(t.Context(), s.ID, lv.Release{ // by another process, before it was damaged
			State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", Working: true}, {Row: "b", Working: true}},
		}, ada)
		require.NoError(t, err)
		store.bad[a] = true
		s.save("c", "1")
		s.publish(lv.Production, "c")
		all, damaged := s.sounds(lv.View{})
		require.Equal(t, "b=2 c=1", all, "neither the old content, nor a deletion of more than it")
		require.Equal(t, 1, damaged)
		_, err = s.Get(t.Context(), "a", lv.View{})
		corrupt(t, "a", a, err)
		require.Equal(t, 1, strings.Count(log.String(), "a content is damaged"))
	})
}

func TestSubscribeYieldsTheOthersBesideTheErrorOfARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &rotting{memory.New().Versions(), map[lv.VersionID]bool{}, true}
		s := serve(t, lv.Config{VersionStore: store})
		for _, row := range []string{"a", "b", "c"} {
			s.save(row, "1")
		}
		_, err := s.Save(t.Context(), "d", json.RawMessage(`{"name":1}`), ada)
		require.NoError(t, err)
		r := s.publish(lv.Production, "a", "b", "c", "d")
		b := r.Changes[1].To
		store.bad[b] = true
		type names map[string]struct{ Name string }
		var seen []names
		var errs []error
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			for values, err := range lv.Of[struct{ Name string }](s.Table).Subscribe(ctx) {
				seen, errs = append(seen, values), append(errs, err)
			}
			close(done)
		}()
		synctest.Wait()
		for _, fix := range []string{"b", "d"} {
			s.save(fix, "2")
			s.publish(lv.Production, fix)
			synctest.Wait()
		}
		cancel()
		<-done
		require.Equal(t, []names{
			{"a": {"1"}, "c": {"1"}}, {"a": {"1"}, "b": {"2"}, "c": {"1"}}, {"a": {"1"}, "b": {"2"}, "c": {"1"}, "d": {"2"}},
		}, seen)
		corrupt(t, "b", b, errs[0])
		require.ErrorContains(t, errs[1], `row "d"`)
		require.NoError(t, errs[2])
	})
}

func TestAScheduledReleaseOfADamagedVersionFailsAndLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad lv.VersionID
		s := serve(t, lv.Config{VersionStore: judged{memory.New().Versions(), func(r lv.Release) error {
			if r.Changes[0].To == bad {
				return &lv.CorruptError{Row: r.Changes[0].Row, Version: bad}
			}
			return nil
		}}})
		bad = s.save("a", "1")
		first := s.due(time.Minute, lv.Change{To: bad})
		s.due(2*time.Minute, lv.Change{To: s.save("b", "1")})
		time.Sleep(time.Hour)
		s.run()
		synctest.Wait()
		require.Equal(t, lv.ReleaseFailed, s.stored(first.ID).State)
		require.Equal(t, "b=1", s.shows(lv.View{}))
	})
}

func TestWhichVersionARowHasIsKnownThoughItsContentIsDamaged(t *testing.T) {
	rot(t, func(s site, store *rotting, _ *bytes.Buffer) {
		s.save("a", "1")
		s.publish(lv.Production, "a")
		gone := s.del("a")
		saved := s.save("a", "2")
		store.bad[saved] = true
		_, err := s.Release(t.Context(), lv.Production, ada, gone)
		require.ErrorIs(t, err, lv.ErrStale)
		planned := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
		require.Equal(t, saved, planned.Changes[0].To)
	})
}

func TestRetentionGoesOnPastWhatIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &rotting{memory.New().Versions(), map[lv.VersionID]bool{}, true}
		s := serve(t, lv.Config{VersionStore: store, Retain: lv.Retention{Versions: 1}})
		for _, name := range []string{"1", "2", "3", "4"} {
			store.bad[s.save("a", name)] = name == "2" || name == "4"
		}
		s.run()
		time.Sleep(time.Minute)
		count := 0
		for range s.History(t.Context(), lv.Query{}) {
			count++
		}
		require.Equal(t, 1, count)
	})
}
