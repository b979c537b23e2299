package lvtest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

func eventsSay(t *storeTest) {
	a1 := t.save("a", "1")
	time.Sleep(2 * time.Millisecond)
	versions := t.write(saving("b", "1"), saving("a", "2"))
	b1, a2 := versions[0], versions[1]
	release, err := t.PutRelease(t.Context(), pages, applied(green, to(a1), to(b1)), lv.By{Actor: "bob"})
	require.NoError(t, err)
	d := t.remove("a")
	plan := t.put(lv.Release{Env: green, State: lv.ReleaseDraft, Changes: []lv.Change{to(a1)}})
	second := t.release(green, to(d), to(b1))
	third := t.release(green, lv.Change{Row: "a"})
	s := t.putStrategy(strategy(a1))

	row := func(v lv.Version, from lv.VersionID) lv.Moved {
		m := lv.Moved{Row: v.Row, From: from, To: v.ID, Content: v.Content, CreatedAt: b1.Time, UpdatedAt: v.Time}
		if v.Row == "a" {
			m.CreatedAt = a1.Time
		}
		return m
	}
	got := t.log()
	var seq int64
	for i, want := range []lv.Event{
		{Kind: lv.EventSaved, Rows: []lv.Moved{row(a1, 0)}},
		{Kind: lv.EventSaved, Rows: []lv.Moved{row(b1, 0), row(a2, a1.ID)}},
		{Kind: lv.EventReleased, Env: green, Release: release.ID, Rows: []lv.Moved{row(a1, 0), row(b1, 0)}, Actor: "bob"},
		{Kind: lv.EventSaved, Rows: []lv.Moved{row(d, a2.ID)}},
		{Kind: lv.EventDraft, Env: green, Release: plan.ID},
		{Kind: lv.EventReleased, Env: green, Release: second.ID, Rows: []lv.Moved{row(d, a1.ID)}},
		{Kind: lv.EventReleased, Env: green, Release: third.ID, Rows: []lv.Moved{{Row: "a", From: d.ID}}},
		{Kind: lv.EventStrategy, Rows: []lv.Moved{row(a1, 0)}, Strategy: &s},
	} {
		require.Greater(t, len(got), i, "every write leaves an event")
		e := got[i]
		require.Greater(t, e.Seq, seq, "Seq rises")
		requireStamp(t, e.Time)
		require.WithinDuration(t, a1.Time, e.Time, time.Minute, "an event has the time of its write")
		want.Seq, want.Time, want.Table = e.Seq, e.Time, pages
		if want.Actor == "" {
			want.Actor = "ann"
		}
		require.Equal(t, want, e, "event %d says what has changed", i)
		seq = e.Seq
	}
	require.Len(t, got, 8)
	require.Equal(t, got[5].Seq, second.Seq, "a release has the Seq of its event")
	require.Equal(t, seq, s.Seq, "a strategy has the Seq of its event")
}

func watchReplays(t *storeTest) {
	a1 := t.save("a", "1")
	t.write(saving("b", "1"), saving("a", "2"), saving("c", "1"))
	t.publish(lv.Production, "a", "b")
	t.publish(green, "a", "c")
	s := t.putStrategy(strategy(a1))
	t.remove("c")
	t.publish(blue, "c", "b")
	t.rollback(a1)
	t.put(draft(to(a1)))
	t.publish(lv.Production, "a", "b", "c")
	t.release(green, lv.Change{Row: "a"})
	s.Disabled = true
	s = t.putStrategy(s)
	kept := t.putStrategy(strategy(a1))
	kept.Disabled = true
	t.putStrategy(kept)
	t.write(saving("c", "4"), deleting("a"))
	t.release(lv.Production, lv.Change{Row: "b"})
	s.Deleted = true
	t.putStrategy(s)
	t.publish(lv.Production, "a")

	events := t.log()
	now := readAll(t, t.VersionStore, pages)
	for i := range events {
		seq := int64(0)
		if i > 0 {
			seq = events[i-1].Seq
		}
		requireReplay(t, t.VersionStore, now, seq, logAfter(t, t.VersionStore, seq))
	}
}

// feed has the promises of every Watch, for a VersionStore.
func (h Harness) feed(after func(testing.TB, lv.VersionStore)) suitetest.Feed[lv.VersionStore, lv.Event] {
	return suitetest.Feed[lv.VersionStore, lv.Event]{
		Harness:   suitetest.Harness[lv.VersionStore]{Open: h.Open, Again: h.Again, Retain: h.Retain, RealTime: h.RealTime},
		Watch:     lv.VersionStore.Watch,
		Compacted: lv.ErrCompacted,
		Writer:    writer,
		Told: func(t testing.TB, e lv.Event) (int64, string, int) {
			require.Len(t, e.Rows, 1)
			var page struct{ Name string }
			require.NoError(t, json.Unmarshal(e.Rows[0].Content, &page))
			n, err := strconv.Atoi(page.Name)
			require.NoError(t, err)
			return e.Seq, e.Rows[0].Row, n
		},
		Read: func(t testing.TB, s lv.VersionStore, e lv.Event) {
			row := nth(t, 0, list(t, s.Rows(t.Context(), e.Table, lv.View{Working: true})))
			require.Equal(t, e.Rows[0].To, row.Version, "what an event tells can be read")
			require.Equal(t, string(e.Rows[0].Content), string(row.Content), "what an event tells can be read")
		},
		Kept:   asOfKept,
		Passed: after,
	}
}

// writer saves a row again and again. The number of an event is the content.
func writer(t testing.TB, s lv.VersionStore, row string) func(first, n int) error {
	table := pages
	if row == suitetest.Elsewhere {
		table = banners
	}
	return func(first, n int) error {
		for i := range n {
			if _, err := s.Write(t.Context(), table, []lv.Edit{saving(row, fmt.Sprint(first+i))}, ann); err != nil {
				return err
			}
		}
		return nil
	}
}

// asOfKept checks what can be read once only the last of all events are kept.
func asOfKept(t testing.TB, s lv.VersionStore, all, kept []lv.Event) {
	for i, e := range kept {
		rows := list(t, s.Rows(t.Context(), pages, lv.View{Working: true, AsOf: e.Seq}))
		require.Len(t, rows, 1)
		require.Equal(t, string(nth(t, 0, e.Rows).Content), string(rows[0].Content), "what was as of a kept event can be read: %d", i)
	}
	requireFails(t, lv.ErrCompacted, s.Rows(t.Context(), pages, lv.View{Working: true, AsOf: all[0].Seq}))
	require.Len(t, list(t, s.Versions(t.Context(), pages, lv.Query{})), len(all), "versions are kept")
	requireConsistent(t, s)
}
