package storagetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// reopen closes an engine and opens its state again.
func (h Harness) reopen(t testing.TB, b storage.Backend) storage.Backend {
	t.Helper()
	require.NoError(t, b.Close())
	return closing(t, h.Again(t, b))
}

func locksSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	held, err := first.Locker().Acquire(t.Context(), "held", "me", time.Hour)
	require.NoError(t, err)
	var last lease.Lease
	for range 5 {
		last, err = first.Locker().Acquire(t.Context(), "released", "me", time.Hour)
		require.NoError(t, err)
		require.NoError(t, first.Locker().Release(t.Context(), last))
	}

	b := h.reopen(t, first)
	found, err := b.Locker().Holder(t.Context(), "held")
	require.NoError(t, err, "a live lease survives reopening")
	require.Equal(t, held.Token, found.Token)
	require.Equal(t, held.Owner, found.Owner)
	require.WithinDuration(t, held.ExpiresAt, found.ExpiresAt, time.Millisecond)
	_, err = b.Locker().Acquire(t.Context(), "held", "you", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld, "a live lease survives reopening")
	_, err = b.Locker().Renew(t.Context(), held, time.Hour)
	require.NoError(t, err, "a live lease can be renewed after reopening")
	require.NoError(t, b.Locker().Release(t.Context(), held), "a live lease can be released after reopening")

	next, err := b.Locker().Acquire(t.Context(), "released", "me", time.Hour)
	require.NoError(t, err)
	require.Greater(t, next.Token, last.Token, "tokens rise through reopening")
	_, err = b.Locker().Renew(t.Context(), last, time.Hour)
	require.ErrorIs(t, err, lease.ErrLost, "an ended lease stays ended")
}

func runsSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	run, err := first.Journal().Create(t.Context(), aRun("1"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	run.State, run.Reason, run.Steps[0].Phase = update.StateFailed, "disk full", update.PhaseFailed
	run, err = first.Journal().Save(t.Context(), run, update.Event{Kind: update.EventStep, Step: "publish"})
	require.NoError(t, err)
	_, err = first.Journal().Create(t.Context(), aRun("2"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	events := firstEvents(t, first, 3)

	b := h.reopen(t, first)
	found, err := b.Journal().Get(t.Context(), "1")
	require.NoError(t, err, "runs survive reopening")
	require.Equal(t, run, found, "runs survive reopening")
	require.Equal(t, events, firstEvents(t, b, 3), "events survive reopening")
	var ids []string
	for r, err := range b.Journal().History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		ids = append(ids, r.ID)
	}
	require.Equal(t, []string{"2", "1"}, ids, "the order of runs survives reopening")

	late := aRun("3")
	late.Item, late.Token = "1", 4
	_, err = b.Journal().Create(t.Context(), late)
	require.ErrorIs(t, err, update.ErrStale, "the tokens that have written survive reopening")
	_, err = b.Journal().Create(t.Context(), aRun("3"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	require.Greater(t, firstEvents(t, b, 4)[3].Seq, events[2].Seq, "Seq rises through reopening")
}

func rowsSurvive(t testing.TB, h Harness) {
	ctx, first := t.Context(), h.open(t)
	versions := first.Versions()
	write := func(edits ...[]lv.Edit) (all []lv.Version) {
		t.Helper()
		all, err := versions.Write(ctx, pages, slices.Concat(edits...), ann)
		require.NoError(t, err)
		return all
	}
	put := func(r lv.Release) lv.Release {
		t.Helper()
		r, err := versions.PutRelease(ctx, pages, r, lv.By{Actor: "ann", RequestID: fmt.Sprint(r.ID, r.Env, r.State)})
		require.NoError(t, err)
		return r
	}
	saved := write(saving("a", 1), saving("b", 1))
	released := put(releasing(saved[0]))
	last := write(saving("a", 2), []lv.Edit{{Op: lv.OpDelete, Row: "b"}})
	gray := releasing(last[0])
	gray.Env = "green"
	put(gray)
	plan := releasing(last[1])
	plan.State = lv.ReleaseDraft
	plan = put(plan)
	_, err := versions.PutStrategy(ctx, pages, showing(last[0]), ann)
	require.NoError(t, err)
	before := readRows(t, versions)

	versions = h.reopen(t, first).Versions()
	require.Equal(t, before, readRows(t, versions), "rows and what was released survive reopening")
	require.Equal(t, released.ID, put(releasing(saved[0])).ID, "requests survive reopening")
	require.Greater(t, write(saving("c", 1))[0].ID, last[1].ID, "ids of versions rise through reopening")
	plan.State = lv.ReleaseApplied
	require.Greater(t, put(plan).Seq, before.tables[0].Seq, "a plan survives reopening, and Seq rises through it")
}

// rowsRead is what can be read of pages.
type rowsRead struct {
	tables   []lv.TableInfo
	rows     [][]lv.Row
	versions []lv.Version
	releases []lv.Release
	events   []lv.Event
}

func readRows(t testing.TB, s lv.VersionStore) rowsRead {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := rowsRead{
		tables:   all(t, s.Tables(ctx)),
		versions: all(t, s.Versions(ctx, pages, lv.Query{})),
		releases: all(t, s.Releases(ctx, pages, lv.Query{})),
	}
	require.Len(t, r.tables, 1)
	for _, v := range []lv.View{
		{}, {Working: true}, {Working: true, Status: lv.StatusChanged}, {Env: "green"}, {Env: "green", Own: true},
		{AsOf: r.tables[0].Seq - 3}, {Working: true, AsOf: r.tables[0].Seq - 3},
	} {
		r.rows = append(r.rows, all(t, s.Rows(ctx, pages, v)))
	}
	for e, err := range s.Watch(ctx, 0) {
		require.NoError(t, err)
		if r.events = append(r.events, e); e.Seq == r.tables[0].Seq {
			break
		}
	}
	return r
}

func all[T any](t testing.TB, list iter.Seq2[T, error]) (items []T) {
	t.Helper()
	for item, err := range list {
		require.NoError(t, err)
		items = append(items, item)
	}
	return items
}

// firstEvents returns the first n events, which must be there.
func firstEvents(t testing.TB, b storage.Backend, n int) (events []update.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range b.Journal().Watch(ctx, 0) {
		require.NoError(t, err, "Watch yielded %d of %d events", len(events), n)
		if events = append(events, e); len(events) == n {
			break
		}
	}
	return events
}
