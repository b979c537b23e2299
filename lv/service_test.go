package lv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

var (
	ada = lv.By{Actor: "ada", Reason: "why"}
	bob = lv.By{Actor: "bob"}
)

// site is a Service over a store, and a table of it.
type site struct {
	*lv.Table
	t       testing.TB
	store   lv.VersionStore
	service *lv.Service
}

func newSite(t testing.TB) site { return serve(t, lv.Config{Store: memory.New()}) }

func serve(t testing.TB, c lv.Config) site {
	if c.VersionStore == nil {
		c.VersionStore = c.Store.Versions()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	service, err := lv.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })
	return site{service.Table("app", "banners"), t, c.VersionStore, service}
}

func page(name string) json.RawMessage { return json.RawMessage(`{"name":"` + name + `"}`) }

func (s site) save(row, name string) lv.VersionID {
	s.t.Helper()
	v, err := s.Save(context.Background(), row, page(name), ada)
	require.NoError(s.t, err)
	return v.ID
}

func (s site) del(row string) lv.VersionID {
	s.t.Helper()
	v, err := s.Delete(context.Background(), row, ada)
	require.NoError(s.t, err)
	return v.ID
}

func (s site) publish(env lv.Env, rows ...string) lv.Release {
	s.t.Helper()
	r, err := s.Publish(context.Background(), env, ada, rows...)
	require.NoError(s.t, err)
	return r
}

func (s site) strategy(strategy lv.Strategy) lv.Strategy {
	s.t.Helper()
	saved, err := s.SaveStrategy(context.Background(), strategy, ada)
	require.NoError(s.t, err)
	return saved
}

// shows returns the rows of a view in short: "a=1 b=2" for the names of pages.
func (s site) shows(v lv.View) string {
	s.t.Helper()
	return shown(s.t, s.Rows(context.Background(), v))
}

func shown(t testing.TB, rows iter.Seq2[lv.Row, error]) (all string) {
	t.Helper()
	for row, err := range rows {
		require.NoError(t, err)
		var content struct{ Name string }
		content.Name = "-"
		if row.Content != nil {
			require.NoError(t, json.Unmarshal(row.Content, &content))
		}
		all += fmt.Sprintf(" %s=%s", row.ID, content.Name)
	}
	if all == "" {
		return ""
	}
	return all[1:]
}

func hello(value string) lv.Attributes { return lv.Attributes{"env.content": value} }

var greeted = lv.Rules{{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "Hello"}}

func TestSavingShowsNothingUntilItIsPublished(t *testing.T) {
	s := newSite(t)
	first := s.save("a", "1")
	require.Empty(t, s.shows(lv.View{}))
	require.Equal(t, "a=1", s.shows(lv.View{Working: true, Status: lv.StatusChanged}))

	r := s.publish(lv.Production, "a")
	require.Equal(t, []lv.Change{{Row: "a", To: first}}, r.Changes)
	require.Equal(t, r, s.publish(lv.Production, "a", "a"), "it is published already")
	require.Equal(t, "a=1", s.shows(lv.View{}))
	require.Equal(t, "a=1", s.shows(lv.View{Working: true, Status: lv.StatusPublished}))

	s.save("a", "2")
	require.Equal(t, "a=1", s.shows(lv.View{}))
	require.Equal(t, "a=2", s.shows(lv.View{Working: true}))
	_, err := s.Restore(t.Context(), first, ada)
	require.NoError(t, err)
	require.Equal(t, "a=1", s.shows(lv.View{Working: true, Status: lv.StatusPublished}))
}

func TestAReaderGetsWhatARowIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		_, err := s.Get(t.Context(), "a", lv.View{})
		require.ErrorIs(t, err, lv.ErrNotFound)
		s.save("a", "1")
		s.publish(lv.Production, "a")
		pause()
		s.save("a", "2")
		s.publish("g", "a")
		fresh := serve(t, lv.Config{VersionStore: s.store})
		for _, v := range []lv.View{{}, {Env: "g"}, {Env: "other"}, {Env: "g", Own: true}} {
			for want, err := range s.store.Rows(t.Context(), s.ID, v) {
				require.NoError(t, err)
				kept, err := s.Get(t.Context(), "a", v)
				require.NoError(t, err)
				require.Equal(t, want, kept, "from events, %+v", v)
				read, err := fresh.Get(t.Context(), "a", v)
				require.NoError(t, err)
				require.Equal(t, want, read, "from the store, %+v", v)
			}
		}
		_, err = s.Get(t.Context(), "a", lv.View{Env: "other", Own: true})
		require.ErrorIs(t, err, lv.ErrNotFound)
	})
}

func TestAViewShowsOneEnvironment(t *testing.T) {
	s := newSite(t)
	for _, row := range []string{"a", "b", "c"} {
		s.save(row, "1")
	}
	s.publish(lv.Production, "a", "b", "c")
	s.save("b", "2")
	s.save("d", "2")
	s.publish("g", "b", "d")
	s.del("c")
	s.publish("g", "c")
	s.publish("empty", "a")
	_, err := s.Reset(t.Context(), "empty", ada, "a")
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		view lv.View
		want string
	}{
		{"production", lv.View{}, "a=1 b=1 c=1"},
		{"a gray has its own, hides what it has deleted and follows production", lv.View{Env: "g"}, "a=1 b=2 d=2"},
		{"only what a gray has itself", lv.View{Env: "g", Own: true}, "b=2 c=- d=2"},
		{"a gray that nobody has published to", lv.View{Env: "unheard"}, "a=1 b=1 c=1"},
		{"a gray that was reset", lv.View{Env: "empty"}, "a=1 b=1 c=1"},
		{"nothing of its own", lv.View{Env: "empty", Own: true}, ""},
		{"only what production has", lv.View{Own: true}, "a=1 b=1 c=1"},
		{"after a row", lv.View{Env: "g", After: "a"}, "b=2 d=2"},
		{"after a row that is not there", lv.View{After: "aa"}, "b=1 c=1"},
		{"some rows in their order, missing ones left out", lv.View{Env: "g", Rows: []string{"d", "x", "c", "a"}}, "d=2 a=1"},
		{"some rows after one", lv.View{Rows: []string{"c", "a"}, After: "a"}, "c=1"},
		{"some rows of its own", lv.View{Env: "g", Own: true, Rows: []string{"c", "a"}}, "c=-"},
		{"working rows", lv.View{Working: true}, "a=1 b=2 d=2"},
		{"deletions that somebody still shows", lv.View{Working: true, Deleted: true}, "c=-"},
	} {
		require.Equal(t, tt.want, s.shows(tt.view), tt.name)
	}
	envs, err := s.Envs(t.Context())
	require.NoError(t, err)
	require.Equal(t, []lv.Env{"empty", "g"}, envs)
	for range s.Rows(t.Context(), lv.View{Env: "g", For: hello("")}) {
		break // a reader may stop at any row
	}
}

func TestWhoAsksForNoRowsGetsNone(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	s.publish("g", "a")
	s.del("a")
	s.save("b", "1")
	for _, v := range []lv.View{
		{}, {Env: "g"}, {Env: "g", Own: true}, {Own: true}, {Working: true}, {Working: true, Deleted: true}, {AsOf: 2},
		{For: lv.Attributes{"user.id": "7"}}, {Working: true, Status: lv.StatusChanged},
	} {
		require.NotEmpty(t, s.shows(v), "%+v", v)
		v.Rows = []string{}
		require.Empty(t, s.shows(v), "%+v", v)
		for _, err := range lv.Of[struct{ Name string }](s.Table).All(t.Context(), v) {
			require.Fail(t, "a row", "%v", err)
		}
	}
	count := func(ids ...lv.TableID) (n int) {
		for _, err := range s.service.Tables(t.Context(), ids...) {
			require.NoError(t, err)
			n++
		}
		return n
	}
	require.Equal(t, 1, count())
	require.Equal(t, 0, count([]lv.TableID{}...))
	_, err := s.Publish(t.Context(), lv.Production, ada, []string{}...)
	require.ErrorIs(t, err, lv.ErrInvalid)
	_, err = s.Reset(t.Context(), "g", ada)
	require.ErrorIs(t, err, lv.ErrInvalid)
	_, err = s.Table.Release(t.Context(), lv.Production, ada)
	require.ErrorIs(t, err, lv.ErrInvalid)
	_, err = s.Edit(t.Context(), ada)
	require.ErrorIs(t, err, lv.ErrInvalid)
}

func TestADeletionIsPublished(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	action := s.del("a")
	require.Equal(t, "a=1", s.shows(lv.View{}))
	first, err := s.Release(t.Context(), lv.Production, ada, action)
	require.NoError(t, err)
	require.Empty(t, s.shows(lv.View{}))
	again, err := s.Release(t.Context(), lv.Production, ada, action)
	require.NoError(t, err)
	require.Equal(t, first, again)
	snapshot, err := serve(t, lv.Config{VersionStore: s.store}).Snapshot(t.Context())
	require.NoError(t, err)
	require.Empty(t, shown(t, snapshot.Rows(lv.Production)))

	s.save("a", "2")
	_, err = s.Release(t.Context(), "g", ada, action)
	require.ErrorIs(t, err, lv.ErrStale, "the row has been saved again")
	s.publish(lv.Production, "a")
	require.Equal(t, "a=2", s.shows(lv.View{}))
}

func TestAVersionIsReleasedAsItIs(t *testing.T) {
	s := newSite(t)
	a1, b1 := s.save("a", "1"), s.save("b", "1")
	s.save("a", "2")
	r, err := s.Release(t.Context(), "g", ada, b1, a1, b1)
	require.NoError(t, err)
	require.Equal(t, "a=1 b=1", s.shows(lv.View{Env: "g"}))
	require.Equal(t, "why", r.By.Reason)
	_, err = s.Release(t.Context(), lv.Production, ada, a1, 999)
	require.ErrorIs(t, err, lv.ErrNotFound)
	require.Empty(t, s.shows(lv.View{}), "all or none")
	_, err = s.service.Table("app", "other").Release(t.Context(), lv.Production, ada, a1)
	require.ErrorIs(t, err, lv.ErrNotFound)
	_, err = s.Release(t.Context(), lv.Production, ada)
	require.ErrorIs(t, err, lv.ErrInvalid)
}

func TestResetMakesAGrayFollowProduction(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.save("b", "1")
	s.publish("g", "a", "b")
	_, err := s.Reset(t.Context(), "g", ada, "a", "unknown")
	require.ErrorIs(t, err, lv.ErrNotFound)
	require.Equal(t, "a=1 b=1", s.shows(lv.View{Env: "g"}))
	_, err = s.Reset(t.Context(), "g", ada, "a")
	require.NoError(t, err)
	require.Equal(t, "b=1", s.shows(lv.View{Env: "g"}))
	_, err = s.Reset(t.Context(), lv.Production, ada, "a")
	require.ErrorIs(t, err, lv.ErrInvalid)
}

func TestAWriteThatIsWrongTwiceIsRefusedInOneLine(t *testing.T) {
	_, err := newSite(t).service.Table("", "").Save(t.Context(), "a", page("1"), lv.By{})
	require.ErrorIs(t, err, lv.ErrInvalid)
	require.NotContains(t, err.Error(), "\n")
}

func TestReadsAsOfAnEvent(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	first := s.publish(lv.Production, "a")
	s.save("a", "2")
	s.publish(lv.Production, "a")
	require.Equal(t, "a=1", s.shows(lv.View{AsOf: first.Seq}))
	row, err := s.Get(t.Context(), "a", lv.View{AsOf: first.Seq, After: "z"})
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"1"}`, string(row.Content))
	_, err = s.Get(t.Context(), "b", lv.View{AsOf: first.Seq})
	require.ErrorIs(t, err, lv.ErrNotFound)
}

func TestSeqRisesWithWhatReadersSee(t *testing.T) {
	s := newSite(t)
	seq := func() int64 {
		seq, err := s.Seq(t.Context())
		require.NoError(t, err)
		return seq
	}
	require.Zero(t, seq())
	a1 := s.save("a", "1")
	require.Equal(t, s.publish(lv.Production, "a").Seq, seq())
	before := seq()
	s.save("a", "2")
	require.Equal(t, before, seq(), "editors change nothing that readers see")
	require.Equal(t, s.publish("g", "a").Seq, seq())
	require.Equal(t, s.strategy(lv.Strategy{Target: a1, Rules: greeted}).Seq, seq())
}

func TestWhatCannotBeAskedIsRefused(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	long := string(make([]byte, 1025))
	ask := func(v lv.View) error {
		_, err := s.Get(ctx, "a", v)
		for _, second := range s.Rows(ctx, v) {
			require.Equal(t, errors.Is(err, lv.ErrInvalid), errors.Is(second, lv.ErrInvalid))
		}
		return err
	}
	second := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"no store":               second(lv.New(lv.Config{})),
		"a negative retention":   second(lv.New(lv.Config{VersionStore: s.store, Retain: lv.Retention{Versions: -1}})),
		"a visitor of the past":  ask(lv.View{For: hello(""), AsOf: 1}),
		"a visitor of editors":   ask(lv.View{For: hello(""), Working: true}),
		"a visitor of its own":   ask(lv.View{For: hello(""), Own: true}),
		"a status of production": ask(lv.View{Status: lv.StatusChanged}),
		"deletions of a gray":    ask(lv.View{Env: "g", Deleted: true}),
		"a long environment":     ask(lv.View{Env: lv.Env(long)}),
		"no row":                 second(s.Save(ctx, "", page("1"), ada)),
		"a row that is no text":  second(s.Save(ctx, "a\xff", page("1"), ada)),
		"a row with a zero byte": second(s.Delete(ctx, "a\x00", ada)),
		"a row too long":         second(s.Publish(ctx, "", ada, long)),
		"no content":             second(s.Save(ctx, "a", nil, ada)),
		"no JSON":                second(s.Save(ctx, "a", json.RawMessage(`{`), ada)),
		"a long request":         second(s.Save(ctx, "a", page("1"), lv.By{Actor: "ada", RequestID: long})),
		"a broken description":   second(s.Save(ctx, "a", page("1"), lv.By{Actor: "ada", Reason: "\xff"})),
		"no app":                 second(s.service.Table("", "x").Save(ctx, "a", page("1"), ada)),
		"no schema":              second(s.service.Table("x", "").Save(ctx, "a", page("1"), ada)),
		"no operation":           second(s.Edit(ctx, ada, lv.Edit{Row: "a"})),
		"no edits":               second(s.Edit(ctx, ada)),
		"publish nothing":        second(s.Publish(ctx, "", ada)),
		"plan nothing":           second(s.Draft(ctx, lv.Release{}, ada)),
		"plan no row":            second(s.Draft(ctx, lv.Release{Changes: []lv.Change{{}}}, ada)),
		"no rules":               second(s.SaveStrategy(ctx, lv.Strategy{Target: 1}, ada)),
		"broken extra fields":    second(s.SaveStrategy(ctx, lv.Strategy{Target: 1, Rules: greeted, Extra: json.RawMessage(`{`)}, ada)),
		"a long title":           second(s.SaveStrategy(ctx, lv.Strategy{Target: 1, Rules: greeted, Title: long}, ada)),
	} {
		require.ErrorIs(t, err, lv.ErrInvalid, name)
	}
	for info := range s.service.Tables(ctx) {
		require.Fail(t, "something was written", info)
	}
}

func TestEditsAreAllOrNone(t *testing.T) {
	s := newSite(t)
	_, err := s.Edit(t.Context(), ada,
		lv.Edit{Op: lv.OpSave, Row: "a", Content: page("1")}, lv.Edit{Op: lv.OpRestore, Version: 999})
	require.ErrorIs(t, err, lv.ErrNotFound)
	require.Empty(t, s.shows(lv.View{Working: true}))
	versions, err := s.Edit(t.Context(), ada,
		lv.Edit{Op: lv.OpSave, Row: "b", Content: page("1")}, lv.Edit{Op: lv.OpSave, Row: "a", Content: page("2")})
	require.NoError(t, err)
	require.Len(t, versions, 2)
	require.Equal(t, "a=2 b=1", s.shows(lv.View{Working: true}))
}

func TestConflictsSayWhereThePointersAre(t *testing.T) {
	err := error(&lv.ConflictError{Changes: []lv.Change{{Row: "a", From: 1}, {Row: "b", From: 2}}})
	require.ErrorIs(t, err, lv.ErrConflict)
	require.EqualError(t, err, `lv: conflict: "a" is at version 1, "b" is at version 2`)
	many := make([]lv.Change, 7)
	require.ErrorContains(t, &lv.ConflictError{Changes: many}, "and 2 more")
}
