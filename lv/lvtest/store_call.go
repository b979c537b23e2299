package lvtest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func endedContext(t *storeTest) {
	v := t.save("a", "1")
	plan := t.put(draft(to(v)))
	s := t.putStrategy(strategy(v))
	ended := canceled(t)
	for op, call := range map[string]func() error{
		"Write":       func() error { _, err := t.Write(ended, pages, []lv.Edit{saving("a", "2")}, ann); return err },
		"PutRelease":  func() error { _, err := t.PutRelease(ended, pages, applied("", to(v)), ann); return err },
		"plan":        func() error { _, err := t.PutRelease(ended, pages, plan, ann); return err },
		"PutStrategy": func() error { _, err := t.PutStrategy(ended, pages, s, ann); return err },
	} {
		t.refused(context.Canceled, op, call)
	}
	requireFails(t, context.Canceled, t.Rows(ended, pages, lv.View{Working: true}))
	requireFails(t, context.Canceled, t.Rows(ended, pages, lv.View{}))
	requireFails(t, context.Canceled, t.Versions(ended, pages, lv.Query{}))
	requireFails(t, context.Canceled, t.Releases(ended, pages, lv.Query{}))
	requireFails(t, context.Canceled, t.Tables(ended))
	requireFails(t, context.Canceled, t.Watch(ended, 0))
}

// mess makes what it is given useless.
func mess(b json.RawMessage) {
	for i := range b {
		b[i] = '!'
	}
}

func resultsAreCopies(t *storeTest) {
	v := t.save("a", "1")
	r := t.release(lv.Production, expecting(to(v), 0))
	plan := t.put(draft(expecting(to(v), v.ID)))
	s := strategy(v)
	s.Extra = json.RawMessage(`{"a":1}`)
	s = t.putStrategy(s)
	t.publish(green, "a")
	t.publish(blue, "a")
	before := t.dump()

	mess(v.Content)
	messRelease(r)
	messRelease(plan)
	messStrategy(s)
	all := readAll(t, t.VersionStore, pages)
	for _, rows := range [][]lv.Row{all.Working, all.Production, all.Edited, all.Published, all.Grays[green], t.rows(lv.View{AsOf: all.Info.Seq})} {
		for _, row := range rows {
			mess(row.Content)
		}
	}
	for _, v := range all.Versions {
		mess(v.Content)
		clear(v.Live)
	}
	for _, r := range all.Releases {
		messRelease(r)
	}
	clear(all.Info.Envs)
	for _, s := range all.Info.Strategies {
		messStrategy(s)
	}
	for _, e := range t.log() {
		for _, c := range e.Rows {
			mess(c.Content)
		}
		clear(e.Rows)
		if e.Strategy != nil {
			messStrategy(*e.Strategy)
		}
	}
	require.Equal(t, before, t.dump(), "what a call returns is the caller's to change")
}

// dump writes down all that can be read of pages.
func (t *storeTest) dump() string {
	t.Helper()
	text, err := json.MarshalIndent([]any{readAll(t, t.VersionStore, pages), t.log()}, "", " ")
	require.NoError(t, err, "what can be read is JSON")
	return string(text)
}

func messRelease(r lv.Release) {
	for _, c := range r.Changes {
		if c.Expect != nil {
			*c.Expect = -1
		}
	}
	clear(r.Changes)
}

func messStrategy(s lv.Strategy) {
	mess(s.Extra)
	for _, r := range s.Rules {
		clear(r.Rules)
	}
	clear(s.Rules)
}

func argumentsAreCopied(t *storeTest) {
	edits := []lv.Edit{saving("a", "1"), saving("b", "1")}
	v := t.write(edits...)[0]
	plan := draft(expecting(to(v), v.ID))
	release := applied(lv.Production, to(v))
	s := strategy(v)
	s.Extra = json.RawMessage(`{"a":1}`)
	s.Rules = lv.Rules{{Type: "and", Rules: slices.Clone(s.Rules)}}
	t.put(plan)
	t.put(release)
	t.putStrategy(s)
	before := t.dump()
	mess(edits[0].Content)
	clear(edits)
	messRelease(plan)
	messRelease(release)
	messStrategy(s)
	require.Equal(t, before, t.dump(), "what a call was given is the caller's to change")
}

func rowInWords(r lv.Row) string { return fmt.Sprint(r.ID, " at ", r.Version) }

// lists are the lists of a store with 20 items in each, but for Tables.
func (t *storeTest) lists(ctx context.Context) map[string]iter.Seq2[string, error] {
	return map[string]iter.Seq2[string, error]{
		"Rows, working":    named(t.Rows(ctx, pages, lv.View{Working: true}), rowInWords),
		"Rows, production": named(t.Rows(ctx, pages, lv.View{}), rowInWords),
		"Rows, as of":      named(t.Rows(ctx, pages, lv.View{AsOf: t.info().Seq}), rowInWords),
		"Rows, status":     named(t.Rows(ctx, pages, lv.View{Working: true, Status: lv.StatusPublished}), rowInWords),
		"Versions":         named(t.Versions(ctx, pages, lv.Query{}), func(v lv.Version) string { return v.Row }),
		"Releases":         named(t.Releases(ctx, pages, lv.Query{}), func(r lv.Release) string { return fmt.Sprint(r.ID) }),
		"Tables":           named(t.Tables(ctx), func(i lv.TableInfo) string { return i.ID.App + i.ID.Schema }),
	}
}

func named[T any](all iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range all {
			s := ""
			if err == nil {
				s = name(item)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// fill fills every list.
func (t *storeTest) fill() {
	for i := range 20 {
		row := fmt.Sprintf("row %02d", i)
		t.save(row, row)
		t.publish(lv.Production, row)
		_, err := t.Write(t.Context(), lv.TableID{App: "table", Schema: row}, []lv.Edit{saving("a", "1")}, ann)
		require.NoError(t, err)
	}
}

func listsAgain(t *storeTest) {
	t.fill()
	for name, all := range t.lists(t.Context()) {
		want := list(t, all)
		require.GreaterOrEqual(t, len(want), 20, name)
		for range 3 {
			require.Equal(t, want[:5], first(t, 5, all), "each range over the list begins anew: %s", name)
		}
		require.Equal(t, want, list(t, all), "a list that was left does no harm: %s", name)
	}
}

func listsSlowly(t *storeTest) {
	t.fill()
	for name, all := range t.lists(t.Context()) {
		want := list(t, all)
		var got []string
		for item, err := range all {
			require.NoError(t, err, "a reader may take its time: %s", name)
			if got = append(got, item); len(got)%7 != 1 {
				continue
			}
			if !t.realTime {
				time.Sleep(time.Minute)
			}
			require.NotEmpty(t, t.history(lv.Query{}), "the store can be read while it is listed")
			row := fmt.Sprintf("row %02d", len(got))
			t.write(saving(row, fmt.Sprint(name, len(got))), saving("row 00", fmt.Sprint(name, len(got))))
			t.publish(lv.Production, row, "row 00")
		}
		require.Equal(t, want, got, "a list is not disturbed by writes: %s", name)
	}
}

func listContext(t *storeTest) {
	t.fill()
	for name := range t.lists(t.Context()) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var last error
		for _, err := range t.lists(ctx)[name] {
			require.NoError(t, last, "an error is the last pair: %s", name)
			if last = err; err == nil {
				n++
			}
			if n == 5 {
				cancel()
			}
		}
		cancel()
		if n < 20 {
			require.ErrorIs(t, last, context.Canceled, "a list that is cut short says why: %s", name)
		}
	}
}
