package httpadapter

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// openStates are those of releases that wait for somebody.
var openStates = []lv.ReleaseState{lv.ReleaseDraft, lv.ReleaseApproved, lv.ReleaseScheduled}

// plannedStates are those of releases that are not, or not yet, applied, and
// releaseStates are all.
var (
	plannedStates = slices.Concat(openStates, []lv.ReleaseState{lv.ReleaseFailed, lv.ReleaseCancelled})
	releaseStates = slices.Concat(plannedStates, []lv.ReleaseState{lv.ReleaseApplied})
)

func (l *lvRoutes) changelists(c *web.Call) error {
	return l.listReleases(c, plannedStates, openStates...)
}

func (l *lvRoutes) releases(c *web.Call) error { return l.listReleases(c, releaseStates, "") }

// listReleases lists the releases in the state that the query names, one of
// known, or else in any of these states, newest first.
func (l *lvRoutes) listReleases(c *web.Call, known []lv.ReleaseState, states ...lv.ReleaseState) error {
	if state := lv.ReleaseState(c.Query.Get("state")); state != "" {
		if !slices.Contains(known, state) {
			return web.BadQuery.With(fmt.Sprintf("state %.64q is none of these releases", state))
		}
		states = []lv.ReleaseState{state}
	}
	t, err := l.table(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit(maxBatch)
	if err != nil {
		return err
	}
	after, err := c.Number("after", 1, 0)
	if err != nil {
		return err
	}
	var lists []iter.Seq2[lv.Release, error]
	for _, state := range states {
		lists = append(lists, t.Releases(c.Context(), lv.Query{Row: c.Query.Get("object_id"), After: after, State: state}))
	}
	return web.Page(c, "releases", limit, web.Map(newest(lists), func(r lv.Release, err error) (releaseReply, error) {
		return releaseOf(r), err
	}), func(r releaseReply) string { return r.ID })
}

// newest merges lists of releases that begin with the newest.
func newest(lists []iter.Seq2[lv.Release, error]) iter.Seq2[lv.Release, error] {
	if len(lists) == 1 {
		return lists[0]
	}
	return func(yield func(lv.Release, error) bool) {
		var heads []lv.Release // the next one of each list that has more
		var nexts []func() (lv.Release, error, bool)
		for _, list := range lists {
			next, stop := iter.Pull2(list)
			defer stop()
			if r, err, ok := next(); err != nil {
				yield(r, err)
				return
			} else if ok {
				heads, nexts = append(heads, r), append(nexts, next)
			}
		}
		for len(heads) > 0 {
			i := 0
			for k, r := range heads {
				if r.ID > heads[i].ID {
					i = k
				}
			}
			if !yield(heads[i], nil) {
				return
			}
			r, err, ok := nexts[i]()
			if err != nil {
				yield(r, err)
				return
			}
			if heads[i] = r; !ok {
				heads, nexts = slices.Delete(heads, i, i+1), slices.Delete(nexts, i, i+1)
			}
		}
	}
}

func (l *lvRoutes) plan(c *web.Call) error {
	var b planBody
	t, by, err := l.why(c, &b)
	if err != nil {
		return err
	}
	plan, err := b.release()
	if err != nil {
		return err
	}
	r, err := t.Draft(c.Context(), plan, by)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusCreated, releaseOf(r))
}

// release returns what a body plans.
func (b planBody) release() (lv.Release, error) {
	plan := lv.Release{Env: lv.Env(b.Env)}
	if len(b.Changes) == 0 || len(b.Changes) > maxBatch {
		return plan, web.BadBody.With(fmt.Sprintf("changes: want 1 to %d", maxBatch))
	}
	if b.Env != "" {
		if err := web.CheckID(b.Env); err != nil {
			return plan, err
		}
	}
	for i, change := range b.Changes {
		planned, err := change.change(i)
		if err != nil {
			return plan, err
		}
		plan.Changes = append(plan.Changes, planned)
	}
	return plan, nil
}

// change returns what change i of a body moves.
func (b changeBody) change(i int) (c lv.Change, err error) {
	c.Row = b.ObjectID
	if c.Row != "" {
		if err := web.CheckID(c.Row); err != nil {
			return c, err
		}
	}
	switch b.To {
	case "working":
		c.Working = true
	case "none":
	case "":
		return c, web.BadBody.With(fmt.Sprintf(`changes: %d: to: want a version, "working" or "none"`, i))
	default:
		if c.To, err = versionOf(b.To); err != nil {
			return c, err
		}
	}
	if b.After != "" {
		if b.Expect != "" {
			return c, web.BadBody.With(fmt.Sprintf("changes: %d: expect or after, not both", i))
		}
		c.After, err = decimalOf("after", b.After)
		return c, err
	}
	if b.Expect == "any" {
		c.Expect = new(lv.Any)
		return c, nil
	}
	c.Expect, err = expected(b.Expect)
	return c, err
}

// amending calls f with the release in the path, and answers with what it has
// become.
func (l *lvRoutes) amending(c *web.Call, t *lv.Table, f func(ctx context.Context, release int64) (lv.Release, error)) error {
	id, err := decimalOf("release", c.ID("id"))
	if err != nil {
		return err
	}
	r, err := f(c.Context(), id)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, releaseOf(r))
}

// amend serves a method of a table that does something to a release.
func (l *lvRoutes) amend(f func(*lv.Table, context.Context, int64, lv.By) (lv.Release, error)) func(*web.Call) error {
	return func(c *web.Call) error {
		t, by, err := l.why(c, new(whyBody))
		if err != nil {
			return err
		}
		return l.amending(c, t, func(ctx context.Context, id int64) (lv.Release, error) { return f(t, ctx, id, by) })
	}
}

func (l *lvRoutes) schedule(c *web.Call) error {
	var b scheduleBody
	t, by, err := l.why(c, &b)
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, b.At)
	if err != nil {
		return web.BadBody.With("at: want a time of RFC 3339")
	}
	return l.amending(c, t, func(ctx context.Context, id int64) (lv.Release, error) { return t.Schedule(ctx, id, at, by) })
}

func (l *lvRoutes) cancel(c *web.Call) error {
	t, by, err := l.why(c, new(whyBody))
	if err != nil {
		return err
	}
	return l.amending(c, t, func(ctx context.Context, id int64) (lv.Release, error) {
		if err := t.Cancel(ctx, id, by); err != nil {
			return lv.Release{}, err
		}
		return t.ReleaseByID(ctx, id)
	})
}
