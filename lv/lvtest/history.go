package lvtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// Random histories are about these.
var (
	modelRows = []string{"a", "b", "c", "d", "e"}
	modelEnvs = []lv.Env{lv.Production, blue, green}
)

// history plays steps on an engine and on the model, and compares the two.
type history struct {
	testing.TB
	lv.VersionStore // the handle in use
	*model
	table  lv.TableID
	reopen func(n int) lv.VersionStore
	steps  []string // what was done, in words
	seen   int64    // Seq of the last event of the store
	last   lv.VersionID
	calls  []func() // each makes a call again
}

// by is who makes the next call.
func (h *history) by() lv.By {
	return lv.By{Actor: "ann", Reason: fmt.Sprint("step ", len(h.steps)), RequestID: fmt.Sprint(len(h.steps))}
}

func (h *history) note(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

// again keeps a call that can be made again.
func (h *history) again(call func()) { h.calls = append(h.calls, call) }

// edit makes one edit.
func (h *history) edit(e lv.Edit) {
	h.Helper()
	h.note("%s %s%s version %d%s", e.Op, e.Row, e.Content, e.Version, fromInWords(e.Expect))
	by := h.by()
	call := func() ([]lv.Version, error) { return h.Write(h.Context(), h.table, []lv.Edit{e}, by) }
	want, err := h.write(e)
	got, gotErr := call()
	require.ErrorIs(h, gotErr, err)
	if err != nil {
		return
	}
	h.again(func() {
		again, err := call()
		require.NoError(h, err)
		require.Equal(h, ids(got), ids(again), "a repeated write returns the first answer")
	})
	require.Len(h, got, 1)
	got[0].By.RequestID = ""
	if want.ID == 0 {
		require.Greater(h, got[0].ID, h.last, "ids of versions rise")
		h.last = got[0].ID
		want.ID, want.Time, want.By = got[0].ID, got[0].Time, lv.By{Actor: by.Actor, Reason: by.Reason}
		if h.created[want.Row].IsZero() {
			h.created[want.Row] = want.Time
		}
		saved := lv.Event{Kind: lv.EventSaved, Rows: []lv.Moved{h.tells(want.Row, h.now.working[want.Row], want)}}
		h.event(saved, func(int64) {
			h.versions = append(h.versions, want)
			h.now.working[want.Row] = want
		})
	}
	want.Live = h.live(want.ID)
	require.Equal(h, want, got[0])
	if e.Op == lv.OpForget {
		h.versions = slices.DeleteFunc(h.versions, func(v lv.Version) bool { return v.ID == want.ID })
	}
}

// tells is what an event says of a row that moved.
func (h *history) tells(row string, from, to lv.Version) lv.Moved {
	m := lv.Moved{Row: row, From: from.ID, To: to.ID}
	if to.ID != 0 {
		m.Content, m.CreatedAt, m.UpdatedAt = to.Content, h.created[row], to.Time
	}
	return m
}

// event takes the next event of the store and changes the model with it.
func (h *history) event(want lv.Event, apply func(seq int64)) {
	h.Helper()
	got := nth(h, 0, collect(h, h.VersionStore, h.seen, 1))
	require.Greater(h, got.Seq, h.seen, "Seq rises")
	requireStamp(h, got.Time)
	h.seen = got.Seq
	want.Seq, want.Time, want.Table, want.Actor = got.Seq, got.Time, h.table, "ann"
	require.Equal(h, want, got, "the event says what has changed")
	h.now.seq, h.now.time = got.Seq, got.Time
	apply(got.Seq)
	h.past = append(h.past, h.now.clone())
}

// release puts a release.
func (h *history) release(r lv.Release) {
	h.Helper()
	h.note("release %d rev %d in %q %s: %s", r.ID, r.Rev, r.Env, r.State, inWords(r.Changes))
	by := h.by()
	call := func() (lv.Release, error) { return h.PutRelease(h.Context(), h.table, r, by) }
	want, last, conflicts, err := h.put(r)
	got, gotErr := call()
	require.ErrorIs(h, gotErr, err)
	if len(conflicts) > 0 {
		var conflict *lv.ConflictError
		require.True(h, errors.As(gotErr, &conflict), "%v", gotErr)
		require.Equal(h, plainChanges(conflicts), plainChanges(conflict.Changes))
	}
	if err != nil {
		return
	}
	h.again(func() {
		again, err := call()
		require.NoError(h, err)
		require.Equal(h, plain(got), plain(again), "a repeated release returns the first answer")
	})
	if last {
		require.Equal(h, plain(want), plain(got), "the release that moved there last is returned")
		return
	}
	want.ID, want.AppliedAt, want.Last = got.ID, got.AppliedAt, by
	if r.ID == 0 {
		want.By, want.CreatedAt = by, got.CreatedAt
		require.True(h, len(h.releases) == 0 || got.ID > h.releases[len(h.releases)-1].ID, "ids of releases rise")
		h.releases = append(h.releases, want)
	}
	require.Equal(h, r.State == lv.ReleaseApplied, !got.AppliedAt.IsZero(), "a release has been applied, or not")
	h.released(&want)
	require.Equal(h, plain(want), plain(got))
	h.releases[slices.IndexFunc(h.releases, func(old lv.Release) bool { return old.ID == want.ID })] = want
}

// released moves the pointers of the model.
func (h *history) released(r *lv.Release) {
	h.Helper()
	e := lv.Event{Kind: lv.EventDraft, Env: r.Env, Release: r.ID}
	if r.State == lv.ReleaseApplied {
		e.Kind = lv.EventReleased
		for _, c := range r.Changes {
			if c.From != c.To {
				e.Rows = append(e.Rows, h.tells(c.Row, lv.Version{ID: c.From}, h.find(c.To)))
			}
		}
	}
	h.event(e, func(seq int64) {
		if r.State != lv.ReleaseApplied {
			return
		}
		r.Seq = seq
		if r.Env != lv.Production {
			h.envs[r.Env] = true
		}
		for _, c := range e.Rows {
			h.moved[r.Env][c.Row] = seq
			if h.now.pointers[r.Env][c.Row] = h.find(c.To); c.To == 0 {
				delete(h.now.pointers[r.Env], c.Row)
			}
		}
	})
}

// strategy puts a strategy.
func (h *history) strategy(s lv.Strategy) {
	h.Helper()
	h.note("strategy %d rev %d for version %d, priority %d, deleted %v", s.ID, s.Rev, s.Target, s.Priority, s.Deleted)
	i := slices.IndexFunc(h.strategies, func(old lv.Strategy) bool { return old.ID == s.ID && !old.Deleted })
	target, want := h.find(s.Target), error(nil)
	switch {
	case s.ID != 0 && i < 0:
		want = lv.ErrNotFound
	case s.ID != 0 && h.strategies[i].Rev != s.Rev:
		want = lv.ErrStale
	case target.ID == 0:
		want = lv.ErrNotFound
	}
	by := h.by()
	got, err := h.PutStrategy(h.Context(), h.table, s, by)
	require.ErrorIs(h, err, want)
	if want != nil {
		return
	}
	s.ID, s.Row, s.By, s.Rev = got.ID, target.Row, by, s.Rev+1
	if i < 0 {
		s.Rev, i = 1, len(h.strategies)
		h.strategies = append(h.strategies, s)
	}
	s.Seq = got.Seq
	shown := h.tells(s.Row, lv.Version{}, target)
	h.event(lv.Event{Kind: lv.EventStrategy, Rows: []lv.Moved{shown}, Strategy: &s}, func(seq int64) {
		require.Equal(h, seq, got.Seq, "a strategy has the Seq of its event")
	})
	h.strategies[i] = s
	require.Equal(h, s, got)
}

// compare compares one read of so many, in turn.
func (h *history) compare(of int) {
	h.Helper()
	n := len(h.steps)
	row := modelRows[n%len(modelRows)]
	reads := []func(){h.compareInfo, h.comparePast}
	for _, v := range modelViews {
		reads = append(reads, func() { h.compareView(v) })
	}
	for _, q := range []lv.Query{{}, {Row: row}} {
		reads = append(reads, func() { h.compareHistory(q) })
	}
	for _, q := range []lv.Query{{}, {Row: row}, {State: lv.ReleaseApplied}, {State: lv.ReleaseDraft}} {
		reads = append(reads, func() { h.compareReleases(q) })
	}
	for i := n % of; i < len(reads); i += of {
		reads[i]()
	}
}

// comparePast compares a view as of a past event.
func (h *history) comparePast() {
	if n := len(h.steps); len(h.past) > 0 {
		v := modelViews[n%pastViews]
		v.AsOf = h.past[n*7%len(h.past)].seq
		h.compareView(v)
	}
}

func (h *history) compareInfo() {
	infos := list(h, h.Tables(h.Context(), h.table))
	require.Equal(h, len(h.past) > 0, len(infos) == 1, "a table is there once it has an event")
	for _, info := range infos {
		want := h.info(h.table)
		want.History = info.History // what the engine calls it
		require.Equal(h, want, info)
	}
}

func (h *history) compareHistory(q lv.Query) {
	h.Helper()
	var want []lv.Version
	for _, v := range slices.Backward(h.versions) {
		if q.Row == "" || q.Row == v.Row {
			v.Live = h.live(v.ID)
			want = append(want, v)
		}
	}
	got := list(h, h.Versions(h.Context(), h.table, q))
	for i := range got {
		got[i].By.RequestID = ""
	}
	require.Equal(h, want, got, "history of %q", q.Row)
}

func (h *history) compareReleases(q lv.Query) {
	h.Helper()
	var want []lv.Release
	for _, r := range slices.Backward(h.releases) {
		concerns := slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.Row == q.Row })
		if (q.Row == "" || concerns) && (q.State == "" || q.State == r.State) {
			want = append(want, plain(r))
		}
	}
	require.Equal(h, want, plainAll(list(h, h.Releases(h.Context(), h.table, q))), "releases, %+v", q)
}

// modelViews are what is compared: the first pastViews as of any event, too.
var modelViews = []lv.View{
	{Working: true}, {}, {Env: blue}, {Env: green}, {Own: true}, {Env: blue, Own: true}, {Env: green, Own: true},
	{Working: true, Status: lv.StatusPublished}, {Working: true, Status: lv.StatusChanged}, {Working: true, Deleted: true},
}

const pastViews = 7

func (h *history) compareView(v lv.View) {
	h.Helper()
	want, wantErr := h.rows(v)
	var got []lv.Row
	var err error
	for r, e := range h.Rows(h.Context(), h.table, v) {
		if err = e; err == nil {
			got = append(got, r)
		}
	}
	require.ErrorIs(h, err, wantErr, "%+v", v)
	if wantErr == nil {
		require.Equal(h, want, got, "%+v", v)
	}
}

// compareAll compares every read, a view as of every event, and what events
// lead to.
func (h *history) compareAll() {
	h.Helper()
	h.compare(1)
	if len(h.past) == 0 {
		return
	}
	for i, moment := range h.past {
		v := modelViews[(len(h.steps)+i)%pastViews]
		v.AsOf = moment.seq
		h.compareView(v)
	}
	i := len(h.steps) % len(h.past)
	from := h.past[i].seq
	for _, v := range modelViews[:pastViews] {
		v.AsOf = from
		if _, err := h.rows(v); err != nil {
			return // it needs what is forgotten
		}
	}
	events := collect(h, h.VersionStore, from, len(h.past)-1-i)
	requireReplay(h, h.VersionStore, readAll(h, h.VersionStore, h.table), from, events)
}

// inWords says what changes ask for.
func inWords(changes []lv.Change) string {
	var words []string
	for _, c := range changes {
		s := fmt.Sprintf("%s to %d", c.Row, c.To)
		if c.Working {
			s = c.Row + " to its working row"
		}
		words = append(words, s+fromInWords(c.Expect))
	}
	return strings.Join(words, ", ")
}

// fromInWords says what is expected.
func fromInWords(expect *lv.VersionID) string {
	if expect == nil {
		return ""
	}
	return fmt.Sprintf(" from %d", *expect)
}
