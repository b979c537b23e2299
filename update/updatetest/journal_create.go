package updatetest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update"
)

func newRun(t *journalTest) {
	r := aRun("1")
	at := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	r.Rev, r.CreatedAt, r.UpdatedAt, r.EndedAt = 7, at, at, at
	got := t.create(r)
	require.EqualValues(t, 1, got.Rev, "a new run has rev 1")
	require.True(t, got.CreatedAt.After(at.AddDate(20, 0, 0)), "the engine sets CreatedAt")
	require.Equal(t, got.CreatedAt, got.UpdatedAt, "a new run was updated when it was created")
	require.Equal(t, time.UTC, got.CreatedAt.Location(), "times are UTC")
	require.Zero(t, got.EndedAt, "a run that goes on has no end")
	t.requireRun(got, t.get("1"), "Create returns what is stored")
	require.Equal(t, []string{"1"}, t.list(update.Query{}))
}

func roundTrip(t *journalTest) {
	want := fullRun("1")
	got := t.create(want)
	want.Rev, want.Seq, want.CreatedAt, want.UpdatedAt = 1, got.Seq, got.CreatedAt, got.UpdatedAt
	t.requireRun(want, got, "Create returns the run")
	t.requireRun(want, t.get("1"), "Get returns the run")
	for r, err := range t.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		t.requireRun(want, r, "History returns the run")
	}
	bare := t.create(update.Run{ID: "bare", State: update.StateRunning, Token: 1})
	t.requireRun(bare, t.get("bare"), "a run with nothing in it returns with nothing in it")
	require.Zero(t, bare.Release.Time, "no time stays no time")
}

func needsID(t *journalTest) {
	_, err := t.Create(t.Context(), aRun(""), update.Event{Kind: update.EventStarted})
	require.ErrorIs(t, err, update.ErrInvalid, "the ID of a run must be set")
	require.Empty(t, t.log(), "what is refused leaves no event")
}

func firstEvent(t *journalTest) {
	t.save(t.create(aRun("before")), update.Event{Kind: update.EventProgress})
	bare, err := t.Create(t.Context(), aRun("bare"))
	require.NoError(t, err)
	require.Zero(t, bare.Seq, "a run without events has no first one")

	var wg sync.WaitGroup
	for i := range 8 { // at once
		wg.Go(func() {
			r := on(fmt.Sprint("run ", i), fmt.Sprint("item ", i), 1)
			r.Seq = 99
			created, err := t.Create(t.Context(), r,
				update.Event{Kind: update.EventStarted}, update.Event{Kind: update.EventStep, Step: "backup"})
			if !assert.NoError(t, err) {
				return
			}
			change := created
			change.Seq = 99
			saved, err := t.Save(t.Context(), change, update.Event{Kind: update.EventLog})
			assert.NoError(t, err)
			stored, err := t.Get(t.Context(), r.ID)
			assert.NoError(t, err)
			assert.Equal(t, created.Seq, stored.Seq, "Create returns what is stored")
			assert.Equal(t, created.Seq, saved.Seq, "the first event of a run never changes")
		})
	}
	wg.Wait()
	for i := range 8 {
		r := t.get(fmt.Sprint("run ", i))
		first := t.events(r.Seq-1, 1)[0]
		require.Equal(t, r.Seq, first.Seq, "Watch before the first event begins with it")
		require.Equal(t, r.ID, first.Run, "the event is the run's")
		require.Equal(t, update.EventStarted, first.Kind, "it is the first")
	}
	for r, err := range t.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		require.Equal(t, t.get(r.ID).Seq, r.Seq, "History returns the run")
	}
}

func repeatedID(t *journalTest) {
	first := t.create(fullRun("1"))
	first.Percent = 50
	first = t.save(first)
	second := aRun("1")
	second.Package = "demo/other"
	t.refused(first, func() {
		got, err := t.Create(t.Context(), second, update.Event{Kind: update.EventStarted})
		require.ErrorIs(t, err, update.ErrExists, "there is a run with this ID")
		t.requireRun(first, got, "ErrExists comes with the earlier run, as it is now")
	})
}

func repeatedRequest(t *journalTest) {
	ask := func(id, pkg, request string) update.Run {
		r := aRun(id)
		r.Package, r.Request.By.RequestID = pkg, request
		return r
	}
	first := t.create(ask("1", "a", "same"))
	check := func(id string) {
		t.refused(first, func() {
			got, err := t.Create(t.Context(), ask(id, "a", "same"), update.Event{Kind: update.EventStarted})
			require.ErrorIs(t, err, update.ErrExists, "the package has a run with this RequestID")
			t.requireRun(first, got, "ErrExists comes with the earlier run, as it is now")
		})
	}
	check("1")
	check("2")
	first.State = update.StateSucceeded
	first = t.save(first)
	check("3")

	t.create(ask("4", "b", "same"))  // another package
	t.create(ask("5", "a", "other")) // another request
	t.create(ask("6", "a", "SAME"))
	t.create(ask("7", "a", "same "))
	t.create(ask("8", "a", "")) // no RequestID is not a repeated one
	t.create(ask("9", "a", ""))
}

func oneOfManyRequests(t *journalTest) {
	var created atomic.Int64
	var ids sync.Map
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := aRun(fmt.Sprint(i))
			r.Request.By.RequestID = "same"
			got, err := t.Create(t.Context(), r, update.Event{Kind: update.EventStarted})
			if err == nil {
				created.Add(1)
			} else {
				assert.ErrorIs(t, err, update.ErrExists)
			}
			ids.Store(got.ID, true)
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, created.Load(), "one of those who ask at once creates the run")
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n, "all get the same run")
	require.Len(t, t.log(), 1, "what is refused leaves no event")
}

// on returns a run under an item with a token.
func on(id, item string, token int64) update.Run {
	r := aRun(id)
	r.Item, r.Token = item, token
	return r
}

func createOvertaken(t *journalTest) {
	t.create(on("1", "core", 5))
	t.create(on("2", "core", 5)) // an equal token is not overtaken
	last := t.create(on("3", "core", 9))
	t.refused(last, func() {
		_, err := t.Create(t.Context(), on("4", "core", 8), update.Event{Kind: update.EventStarted})
		require.ErrorIs(t, err, update.ErrStale, "a greater token has written to the item")
	})
	_, err := t.Get(t.Context(), "4")
	require.ErrorIs(t, err, update.ErrNotFound, "a refused run does not exist")
	t.create(on("5", "other", 8)) // items are fenced one by one
}

func refusedTeachesNothing(t *journalTest) {
	first := t.create(on("1", "core", 5))
	_, err := t.Create(t.Context(), on("1", "core", 100))
	require.ErrorIs(t, err, update.ErrExists)
	greater := first
	greater.Rev, greater.Token = 7, 100
	_, err = t.Save(t.Context(), greater)
	require.ErrorIs(t, err, update.ErrStale)
	unknown := on("unknown", "core", 100)
	unknown.Rev = 1
	_, err = t.Save(t.Context(), unknown)
	require.ErrorIs(t, err, update.ErrNotFound)
	t.save(first) // token 5 is still the greatest that has written
}

func texts(t *journalTest) {
	for i, text := range []string{
		"nul \x00 inside", "\x00", `quotes " ' \ and <html> & %s ?1 $1`, "lines\r\n\t\u2028\u2029\x1b[0m\x7f",
		"核心更新 é e\u0301 \U0001f680 \ufeff \ufffd \ufdd0", strings.Repeat("long ", 20_000), " spaces ",
		"not \xff\xfe UTF-8 \xc3", "\xed\xa0\x80",
	} {
		name := text[:min(len(text), 128)]
		r := fullRun(fmt.Sprint(i))
		r.Owner, r.From, r.Version, r.Undoes = name, name, name, name
		r.Request.By = update.By{Actor: name, Reason: text, RequestID: name}
		r.Steps[1].Name = name
		r.Steps[0].Error, r.Reason, r.Cancel.Reason, r.Release.URL = text, text, text, text
		event := update.Event{Kind: update.EventLog, Step: name, Phase: update.PhaseDone, Actor: name, Message: text}

		got, err := t.Create(t.Context(), r, event)
		require.NoError(t, err, "%.40q is a text", text)
		r.Rev, r.Seq, r.CreatedAt, r.UpdatedAt = 1, got.Seq, got.CreatedAt, got.UpdatedAt
		t.requireRun(r, t.get(r.ID), "a text comes back byte by byte")
		require.Equal(t, []string{r.ID}, t.list(update.Query{RequestID: name}), "a RequestID is any text")

		stored := t.events(0, i+1)[i]
		event.Seq, event.Time, event.Run, event.Package = stored.Seq, stored.Time, r.ID, r.Package
		event.State, event.Percent = r.State, r.Percent
		require.Equal(t, event, stored, "a text comes back byte by byte")
	}
}

func itemBytes(t *journalTest) {
	for i, item := range suitetest.Names() {
		r := t.create(on(fmt.Sprint(i), item, int64(1000-i)))
		require.Equal(t, item, r.Item, "an item comes back byte by byte")
		require.Equal(t, item, t.get(r.ID).Item, "an item comes back byte by byte")
	}
}

func largeData(t *journalTest) {
	data := []byte(`{"rows": "` + strings.Repeat("0123456789abcdef", 1<<16) + `"}`) // 1 MiB
	r := t.create(aRun("1"))
	r.Steps[0].Data = data
	t.save(r, update.Event{Kind: update.EventStep, Step: r.Steps[0].Name})
	require.True(t, bytes.Equal(data, t.get("1").Steps[0].Data), "data comes back byte by byte")
}
