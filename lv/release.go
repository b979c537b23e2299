package lv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Publish points env at these working rows, deletions included, all or none.
// The first publication to a gray makes it. When nothing would move it returns
// the release that moved any of these rows last.
func (t *Table) Publish(ctx context.Context, env Env, by By, rows ...string) (Release, error) {
	return t.put(ctx, by, func(ctx context.Context) (Release, error) {
		return Release{State: ReleaseApplied, Env: env, Changes: rowChanges(rows, Change{Working: true})}, nil
	})
}

// Release points env at existing versions, all or none; working rows stay as
// they are. The deletion of a row that has been saved again is ErrStale. When
// nothing would move it returns the release that moved any of these rows
// last.
func (t *Table) Release(ctx context.Context, env Env, by By, versions ...VersionID) (Release, error) {
	return t.put(ctx, by, func(ctx context.Context) (Release, error) {
		r := Release{State: ReleaseApplied, Env: env}
		for _, id := range distinct(versions) {
			v, err := t.VersionByID(ctx, id)
			if err == nil {
				err = t.stillDeleted(ctx, v)
			}
			if err != nil {
				return Release{}, err
			}
			r.Changes = append(r.Changes, Change{Row: v.Row, To: id})
		}
		return r, nil
	})
}

// Reset makes rows of a gray follow Production again, all or none. When all of
// them do it returns the release that moved any of them last, or a zero one.
func (t *Table) Reset(ctx context.Context, gray Env, by By, rows ...string) (Release, error) {
	return t.put(ctx, by, func(ctx context.Context) (Release, error) {
		if gray == Production {
			return Release{}, fmt.Errorf("%w: production follows nothing", ErrInvalid)
		}
		return Release{State: ReleaseApplied, Env: gray, Changes: rowChanges(rows, Change{})}, nil
	})
}

// Revert puts back what an applied release moved, whole. Of these pointers
// those that have moved since are a *ConflictError that lists them; the rows
// that the release did not move are left alone, wherever they are. A release
// that moved nothing is ErrInvalid.
func (t *Table) Revert(ctx context.Context, release int64, by By) (Release, error) {
	return t.put(ctx, by, func(ctx context.Context) (Release, error) {
		old, err := t.ReleaseByID(ctx, release)
		if err != nil {
			return Release{}, err
		}
		if old.State != ReleaseApplied {
			return Release{}, fmt.Errorf("%w: release %d is %s", ErrStale, release, old.State)
		}
		r := Release{State: ReleaseApplied, Env: old.Env, Reverts: old.ID}
		for _, c := range old.Changes {
			if c.moved() {
				r.Changes = append(r.Changes, Change{Row: c.Row, To: c.From, Expect: &c.To})
			}
		}
		if len(r.Changes) == 0 {
			return Release{}, fmt.Errorf("%w: release %d has moved nothing", ErrInvalid, release)
		}
		return r, nil
	})
}

// moved reports whether the pointer of a change that is applied has moved.
func (c Change) moved() bool { return c.From != c.To }

// Draft records a change list: Env and Changes of r. Its versions are pinned:
// later edits do not change it. What it expects to be there when it is applied
// is, by the Change: the version Expect; whatever is there, if that is Any; what
// the release After leaves there, drafted or applied, so that the end of a
// campaign can be drafted along with its begin; else what is there now. A
// release that was cancelled or has failed leaves nothing: to come after it is
// ErrStale. When it is given up later, what comes after it finds something else
// than it expects, and fails.
func (t *Table) Draft(ctx context.Context, r Release, by By) (Release, error) {
	if err := by.checkNamed(); err != nil {
		return Release{}, err
	}
	return t.put(ctx, by, func(ctx context.Context) (Release, error) {
		plan := Release{State: ReleaseDraft, Env: r.Env, Changes: slices.Clone(r.Changes)}
		for i, c := range plan.Changes {
			pinned, err := t.pin(ctx, r.Env, c)
			if err != nil {
				return Release{}, err
			}
			plan.Changes[i] = pinned
		}
		return plan, nil
	})
}

// Approve approves a drafted release, as Config.Approve allows. One that is
// approved, scheduled or applied already stays as it is, without an error.
func (t *Table) Approve(ctx context.Context, release int64, by By) (Release, error) {
	return t.amend(ctx, release, by, func(r *Release) error {
		switch r.State {
		case ReleaseScheduled, ReleaseApplied:
			return nil
		case ReleaseDraft:
			if err := t.service.config.Approve(ctx, *r, by); err != nil {
				return err
			}
		}
		r.State, r.Approver = ReleaseApproved, by.Actor
		return nil
	})
}

// Schedule makes Run apply an approved release when it is due, by the clock of
// the process that runs. One that is scheduled gets another time. One that
// meets a conflict when it is due becomes failed. The year of at must have four
// digits in UTC: no text has room for others, so that nobody could be told.
func (t *Table) Schedule(ctx context.Context, release int64, at time.Time, by By) (Release, error) {
	if year := at.UTC().Year(); year < 0 || year > 9999 {
		return Release{}, fmt.Errorf("%w: due in the year %d", ErrInvalid, year)
	}
	return t.amend(ctx, release, by, func(r *Release) error {
		if r.State == ReleaseDraft {
			return fmt.Errorf("%w: release %d is not approved", ErrStale, release)
		}
		r.State, r.At = ReleaseScheduled, at.UTC()
		return nil
	})
}

// Apply applies an approved or scheduled release now; one that is applied stays
// as it is, without an error. Pointers that are not
// what it expects are a *ConflictError, and the release stays as it is.
func (t *Table) Apply(ctx context.Context, release int64, by By) (Release, error) {
	r, err := t.amend(ctx, release, by, func(r *Release) error {
		if r.State == ReleaseDraft {
			return fmt.Errorf("%w: release %d is not approved", ErrStale, release)
		}
		r.State = ReleaseApplied
		return nil
	})
	return r, t.explained(ctx, release, err)
}

// Cancel gives up a release that is not applied. ErrTooLate if it is.
func (t *Table) Cancel(ctx context.Context, release int64, by By) error {
	_, err := t.amend(ctx, release, by, func(r *Release) error {
		r.State = ReleaseCancelled
		return nil
	})
	return err
}

// put asks the store to put the release that build returns. It returns once
// readers see what moved. What build refuses now may have been done by this
// request before: then its first answer is returned.
func (t *Table) put(ctx context.Context, by By, build func(context.Context) (Release, error)) (put Release, err error) {
	before := t.service.progress()
	err = t.writes(ctx, by, func(ctx context.Context) (int64, error) {
		r, err := build(ctx)
		if err != nil {
			answered, known := t.answered(ctx, by)
			if !known {
				return 0, err
			}
			put = answered
			return put.Seq, nil
		}
		if err := r.Check(); err != nil {
			return 0, err
		}
		if put, err = t.service.config.VersionStore.PutRelease(ctx, t.ID, r, by); err != nil {
			return 0, err
		}
		t.logRelease(ctx, put, by, before)
		if put.State == ReleaseScheduled {
			t.service.stale.add(t.ID)
			t.service.planned.Set()
		}
		return put.Seq, nil
	})
	return put, err
}

// answered returns what a request was answered before.
func (t *Table) answered(ctx context.Context, by By) (first Release, known bool) {
	if by.RequestID == "" {
		return Release{}, false
	}
	for r, err := range t.Releases(ctx, Query{RequestID: by.RequestID}) {
		return r, err == nil
	}
	return Release{}, false
}

// amend changes a release that is not over. One that is what change would make
// of it stays as it is.
func (t *Table) amend(ctx context.Context, id int64, by By, change func(*Release) error) (r Release, err error) {
	if err := cmp.Or(t.service.writable(), by.checkNamed()); err != nil {
		return Release{}, err
	}
	r, err = t.ReleaseByID(ctx, id)
	next := r
	if err == nil {
		err = change(&next)
	}
	if err == nil && next.State == r.State && next.At.Equal(r.At) {
		if first, known := t.answered(ctx, by); known {
			return first, nil
		}
		return r, nil
	}
	if r.State.Done() {
		err = cmp.Or(err, fmt.Errorf("%w: release %d is %s", ErrTooLate, id, r.State))
	}
	return t.put(ctx, by, func(context.Context) (Release, error) { return next, err })
}

// rowChanges returns change for each of the rows.
func rowChanges(rows []string, change Change) (changes []Change) {
	for _, row := range distinct(rows) {
		change.Row = row
		changes = append(changes, change)
	}
	return changes
}

// distinct returns each of all once, in their order.
func distinct[T comparable](all []T) (once []T) {
	seen := make(map[T]bool, len(all))
	for _, one := range all {
		if !seen[one] {
			once = append(once, one)
		}
		seen[one] = true
	}
	return once
}

// stillDeleted returns ErrStale for the deletion of a row that has been
// saved again.
func (t *Table) stillDeleted(ctx context.Context, v Version) error {
	if v.Op != OpDelete {
		return nil
	}
	newest, err := t.newest(ctx, v.Row)
	if err == nil && newest.ID != v.ID {
		err = fmt.Errorf("%w: row %q has been saved since version %d deleted it", ErrStale, v.Row, v.ID)
	}
	return err
}

// newest returns the version of a working row.
func (t *Table) newest(ctx context.Context, row string) (Version, error) {
	for v, err := range t.soundVersions(ctx, Query{Row: row}) {
		if isContent(err) {
			err = nil // which version it is, is known
		}
		return v, err
	}
	return Version{}, fmt.Errorf("%w: row %q", ErrNotFound, row)
}

// pin completes a change of a draft: which row, which version, and what the
// pointer is expected to be.
func (t *Table) pin(ctx context.Context, env Env, c Change) (Change, error) {
	switch {
	case c.Working:
		v, err := t.newest(ctx, c.Row)
		if err != nil {
			return Change{}, err
		}
		c.To = v.ID
	case c.Row == "" && c.To != 0:
		v, err := t.VersionByID(ctx, c.To)
		if err != nil {
			return Change{}, err
		}
		c.Row = v.Row
	}
	pinned := Change{Row: c.Row, To: c.To, Expect: c.Expect}
	switch {
	case c.Expect != nil && c.After != 0:
		return Change{}, fmt.Errorf("%w: row %q expects a version and what release %d leaves", ErrInvalid, c.Row, c.After)
	case c.Expect != nil && *c.Expect == Any:
		pinned.Expect = nil
	case c.Expect != nil && *c.Expect < 0:
		return Change{}, fmt.Errorf("%w: row %q expects version %d: no version is negative", ErrInvalid, c.Row, *c.Expect)
	case c.Expect != nil || c.Row == "":
	default:
		expect, err := t.expected(ctx, env, c)
		if err != nil {
			return Change{}, err
		}
		pinned.Expect = &expect
	}
	return pinned, nil
}

// expected returns what a change that names no version expects to be there.
func (t *Table) expected(ctx context.Context, env Env, c Change) (VersionID, error) {
	if c.After == 0 {
		return t.pointer(ctx, env, c.Row)
	}
	before, err := t.ReleaseByID(ctx, c.After)
	if err != nil {
		return 0, err
	}
	if before.State == ReleaseCancelled || before.State == ReleaseFailed {
		return 0, fmt.Errorf("%w: release %d is %s", ErrStale, c.After, before.State)
	}
	for _, one := range before.Changes {
		if one.Row == c.Row && before.Env == env {
			return one.To, nil
		}
	}
	return 0, fmt.Errorf("%w: release %d does not move row %q in this environment", ErrInvalid, c.After, c.Row)
}

// explained adds to the conflict that a release met which other drafted one
// would have left what was expected, but has not.
func (t *Table) explained(ctx context.Context, release int64, err error) error {
	var moved *ConflictError
	if !errors.As(err, &moved) {
		return err
	}
	i := slices.IndexFunc(moved.Changes, func(c Change) bool { return c.Expect != nil })
	failed, fault := t.ReleaseByID(ctx, release)
	if i < 0 || fault != nil {
		return err
	}
	c := moved.Changes[i]
	leaves := func(one Change) bool { return one.Row == c.Row && one.To == *c.Expect }
	for _, state := range []ReleaseState{ReleaseCancelled, ReleaseFailed, ReleaseScheduled, ReleaseApproved, ReleaseDraft} {
		for r, fault := range t.Releases(ctx, Query{Row: c.Row, State: state}) {
			if fault != nil {
				return err // which says what matters
			}
			if r.ID != release && r.Env == failed.Env && slices.ContainsFunc(r.Changes, leaves) {
				return fmt.Errorf("%w; release %d, which leaves %q at %d, is %s", err, r.ID, c.Row, *c.Expect, state)
			}
		}
	}
	return err
}

// pointer returns what env points a row at, or 0.
func (t *Table) pointer(ctx context.Context, env Env, row string) (VersionID, error) {
	for r, err := range t.service.config.VersionStore.Rows(ctx, t.ID, View{Env: env, Own: true, Rows: []string{row}}) {
		if isContent(err) {
			err = nil
		}
		return r.Version, err
	}
	return 0, ctx.Err()
}
