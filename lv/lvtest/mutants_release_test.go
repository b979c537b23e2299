package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	releasePoints  = "a release points at the working row of the moment"
	releaseStatus  = "status compares contents with production"
	releaseNothing = "a release that moves nothing is the one that moved there last"
	grayFollows    = "a gray follows production where it points nowhere"
	grayAlone      = "a gray moves alone"
	grayHides      = "a gray can hide a row"
	releaseDeletes = "a published deletion removes the row"
	releaseAll     = "a release moves all or nothing"
	releaseExpects = "an expectation that does not hold is a conflict"
	releaseBack    = "a release can be taken back whole"
	releaseRepeats = "a repeated release returns the first answer"
)

var releaseMutants = []mutant{
	{what: "does not say what was there", caught: releasePoints, wrap: released(func(_ lv.Release, a *lv.Release) {
		for i := range a.Changes {
			a.Changes[i].From = 0
		}
	})},
	{what: "takes the author from the caller", caught: releasePoints, wrap: released(func(r lv.Release, a *lv.Release) { a.By = r.By })},
	{what: "publishes the first version", caught: releasePoints, wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			all := items(s.Versions(context.Background(), t, lv.Query{Row: c.Row}))
			if c.Working && len(all) > 0 {
				r.Changes[i] = lv.Change{Row: c.Row, To: all[len(all)-1].ID}
			}
		}
	})},
	{what: "compares the ids of versions", caught: releaseStatus, wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		if v.Working && v.AsOf == 0 && r.Status == lv.StatusPublished && pointer(s, t, "", r.ID) != r.Version {
			r.Status = lv.StatusChanged
		}
		return true
	})},
	{what: "takes what a gray shows for published", caught: releaseStatus, wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		for _, env := range envs(s, t) {
			if v.Working && v.AsOf == 0 && pointer(s, t, env, r.ID) == r.Version {
				r.Status = lv.StatusPublished
			}
		}
		return true
	})},
	{what: "records what moves nothing", caught: releaseNothing, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			if r.ID != 0 || r.State != lv.ReleaseApplied || slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.Working }) {
				return s.PutRelease(ctx, t, r, by)
			}
			r.State = lv.ReleaseDraft
			r, err := s.PutRelease(ctx, t, r, lv.By{Actor: by.Actor})
			if err != nil {
				return r, err
			}
			r.State = lv.ReleaseApplied
			return s.PutRelease(ctx, t, r, by)
		}
	})},
	{what: "returns the last release of the table", caught: releaseNothing, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if all := items(s.Releases(ctx, t, lv.Query{State: lv.ReleaseApplied})); err == nil && r.ID == 0 && r.State == lv.ReleaseApplied && len(all) > 0 {
				return all[0], nil
			}
			return answer, err
		}
	})},
	{what: "shows nothing in an untouched gray", caught: grayFollows, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			own := v.Own
			v.Own = own || v.Env != "" && !slices.Contains(envs(s, t), v.Env)
			return each(s.Rows(ctx, t, v), func(_ int, r *lv.Row) bool { return own || v.Working || r.Content != nil })
		}
	})},
	{what: "copies production into a new gray", caught: grayFollows, wrap: badRelease(copiesProduction)},
	{what: "moves grays with production", caught: grayFollows, wrap: badRelease(movesGrays)},
	{what: "publishes to every gray", caught: grayAlone, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			for _, env := range envs(s, t) {
				if err == nil && r.Env != "" && env != r.Env {
					r.Env = env
					_, _ = s.PutRelease(ctx, t, r, someone)
				}
			}
			return answer, err
		}
	})},
	{what: "rolls back the working row with a gray", caught: grayAlone, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			for _, c := range r.Changes {
				if err == nil && r.Env != "" && c.To != 0 {
					_, _ = s.Write(ctx, t, []lv.Edit{{Op: lv.OpRestore, Version: c.To}}, someone)
				}
			}
			return answer, err
		}
	})},
	{what: "lists grays as they were made", caught: grayAlone, wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		slices.Reverse(i.Envs)
		return true
	})},
	{what: "has no deletions in a gray", caught: grayHides, wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if v := newest(s, t, c.Row); r.Env != "" && v.Op == lv.OpDelete && (c.Working || c.To == v.ID) {
				r.Changes[i].Working, r.Changes[i].To = false, 0
			}
		}
	})},
	{what: "hides deletions among pointers", caught: grayHides, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Own || r.Content != nil
	})},
	{what: "takes a deletion in a gray for published", caught: grayHides, wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Deleted || !slices.ContainsFunc(envs(s, t), func(env lv.Env) bool { return pointer(s, t, env, r.ID) == r.Version })
	})},
	{what: "publishes a deletion as nothing", caught: releaseDeletes, wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if v := newest(s, t, c.Row); r.Env == "" && v.Op == lv.OpDelete && (c.Working || c.To == v.ID) {
				r.Changes[i].Working, r.Changes[i].To = false, 0
			}
		}
	})},
	{what: "resets to what production has", caught: "a reset row follows production again", wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if r.Env != "" && c.To == 0 && !c.Working {
				r.Changes[i].To = pointer(s, t, "", c.Row)
			}
		}
	})},
	{what: "drops a gray that follows production", caught: "a reset row follows production again", wrap: eachTable(func(s lv.VersionStore, i *lv.TableInfo) bool {
		i.Envs = slices.DeleteFunc(i.Envs, func(env lv.Env) bool {
			return slices.ContainsFunc(items(s.Releases(context.Background(), i.ID, lv.Query{})), func(r lv.Release) bool { return r.Env == env && r.Changes[0].To == 0 })
		})
		return true
	})},
	{what: "moves pointer by pointer", caught: releaseAll, wrap: badRelease(movesSingly)},
	{what: "points at any row's version", caught: releaseAll, wrap: badRelease(forgivingRelease(lv.ErrNotFound)), unnoted: true},
	{what: "takes a row twice", caught: releaseAll, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		seen := make(map[string]bool)
		r.Changes = slices.DeleteFunc(r.Changes, func(c lv.Change) bool {
			again := seen[c.Row]
			seen[c.Row] = true
			return again
		})
	}), unnoted: true},
	{what: "expects nothing", caught: releaseExpects, wrap: releasing(expectsNothing)},
	{what: "lists every change as a conflict", caught: releaseExpects, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			var conflict *lv.ConflictError
			if errors.As(err, &conflict) {
				err = &lv.ConflictError{Changes: r.Changes}
			}
			return answer, err
		}
	})},
	{what: "lists one conflict", caught: releaseExpects, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			var conflict *lv.ConflictError
			if errors.As(err, &conflict) {
				err = &lv.ConflictError{Changes: conflict.Changes[:1]}
			}
			return answer, err
		}
	}), unnoted: true},
	{what: "takes 0 for any pointer", caught: releaseExpects, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if c.Expect != nil && *c.Expect == 0 {
				r.Changes[i].Expect = nil
			}
		}
	})},
	{what: "cannot take back to nothing", caught: releaseBack, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		if r.Reverts != 0 {
			r.Changes = slices.DeleteFunc(r.Changes, func(c lv.Change) bool { return c.To == 0 })
		}
	})},
	{what: "takes back what has moved since", caught: releaseBack, wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		if r.Reverts != 0 {
			expectsNothing(s, t, r)
		}
	})},
	{what: "forgets requests to release", caught: releaseRepeats, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			by.RequestID = ""
			return s.PutRelease(ctx, t, r, by)
		}
	})},
	{what: "creates a release when it applies it", caught: "a release has its times", wrap: released(func(_ lv.Release, a *lv.Release) {
		if !a.AppliedAt.IsZero() {
			a.CreatedAt = a.AppliedAt
		}
	})},
}

func expectsNothing(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
	for i := range r.Changes {
		r.Changes[i].Expect = nil
	}
}

// copiesProduction fills a gray that is made.
func copiesProduction(s lv.VersionStore) releaseFunc {
	return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
		made := r.Env != "" && !slices.Contains(envs(s, t), r.Env)
		answer, err := s.PutRelease(ctx, t, r, by)
		fill := lv.Release{Env: r.Env, State: lv.ReleaseApplied}
		for _, row := range items(s.Rows(ctx, t, lv.View{})) {
			if pointer(s, t, r.Env, row.ID) == 0 {
				fill.Changes = append(fill.Changes, lv.Change{Row: row.ID, To: row.Version})
			}
		}
		if made && err == nil && len(fill.Changes) > 0 {
			_, _ = s.PutRelease(ctx, t, fill, someone)
		}
		return answer, err
	}
}

// movesGrays lets a gray go with production once both are at one version.
func movesGrays(s lv.VersionStore) releaseFunc {
	return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
		var follow []lv.Release
		for _, env := range envs(s, t) {
			for _, c := range r.Changes {
				at := pointer(s, t, "", c.Row)
				if r.Env == "" && at != 0 && at == pointer(s, t, env, c.Row) {
					follow = append(follow, lv.Release{Env: env, State: lv.ReleaseApplied, Changes: []lv.Change{{Row: c.Row}}})
				}
			}
		}
		answer, err := s.PutRelease(ctx, t, r, by)
		for _, f := range follow {
			if err == nil && r.State == lv.ReleaseApplied {
				_, _ = s.PutRelease(ctx, t, f, someone)
			}
		}
		return answer, err
	}
}

// movesSingly makes a release of every change, up to the first that is refused.
func movesSingly(s lv.VersionStore) releaseFunc {
	return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (answer lv.Release, err error) {
		if r.State != lv.ReleaseApplied || r.ID != 0 || len(r.Changes) < 2 {
			return s.PutRelease(ctx, t, r, by)
		}
		changes := r.Changes
		for i := range changes {
			time.Sleep(50 * time.Microsecond)
			r.Changes = changes[i : i+1]
			by.RequestID = ""
			if answer, err = s.PutRelease(ctx, t, r, by); err != nil {
				return answer, err
			}
		}
		return answer, nil
	}
}

// forgivingRelease does nothing instead of returning an error.
func forgivingRelease(target error) func(lv.VersionStore) releaseFunc {
	return func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if errors.Is(err, target) {
				return r, nil
			}
			return answer, err
		}
	}
}

const (
	planReturns   = "a plan comes back as it was written and moves nothing"
	planReplaced  = "a plan is replaced by its rev"
	planPinned    = "the versions of a plan are pinned"
	planConflicts = "a plan that meets a conflict moves nothing"
	planNothing   = "a plan that moves nothing is applied all the same"
	planFinal     = "what is applied, failed or cancelled is final"
)

var planMutants = []mutant{
	{what: "drops what a plan expects", caught: planReturns, wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		if r.State != lv.ReleaseApplied {
			expectsNothing(s, t, r)
		}
	}), unnoted: true},
	{what: "applies a plan", caught: planReturns, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) { r.State = lv.ReleaseApplied })},
	{what: "makes a gray for a plan", caught: planReturns, wrap: eachTable(func(s lv.VersionStore, i *lv.TableInfo) bool {
		for _, r := range items(s.Releases(context.Background(), i.ID, lv.Query{})) {
			if !slices.Contains(i.Envs, r.Env) && r.Env != "" {
				i.Envs = append(i.Envs, r.Env)
				slices.Sort(i.Envs)
			}
		}
		return true
	})},
	{what: "replaces any rev", caught: planReplaced, wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for _, old := range items(s.Releases(context.Background(), t, lv.Query{})) {
			if old.ID == r.ID {
				r.Rev = old.Rev
			}
		}
	})},
	{what: "takes who changes a plan for its author", caught: planReplaced, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			answer.By = by
			return answer, err
		}
	}), unnoted: true},
	{what: "forgets who writes a plan", caught: planReplaced, wrap: released(func(_ lv.Release, a *lv.Release) { a.Last = a.By })},
	{what: "plans what it does not find", caught: planReplaced, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if errors.Is(err, lv.ErrNotFound) && r.ID != 0 {
				r.ID = 0
				return s.PutRelease(ctx, t, r, by)
			}
			return answer, err
		}
	}), unnoted: true},
	{what: "publishes the working rows of a plan", caught: planPinned, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		for i := range r.Changes {
			r.Changes[i].Working = r.Changes[i].Working || r.ID != 0 && r.State == lv.ReleaseApplied
		}
	})},
	{what: "applies what it can of a plan", caught: planConflicts, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			var conflict *lv.ConflictError
			if r.ID == 0 || !errors.As(err, &conflict) {
				return answer, err
			}
			r.Changes = slices.DeleteFunc(slices.Clone(r.Changes), func(c lv.Change) bool {
				return slices.ContainsFunc(conflict.Changes, func(bad lv.Change) bool { return bad.Row == c.Row })
			})
			_, _ = s.PutRelease(ctx, t, r, by)
			return answer, err
		}
	}), unnoted: true},
	{what: "leaves a plan that moves nothing", caught: planNothing, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			moves := slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.Working || pointer(s, t, r.Env, c.Row) != c.To })
			if r.ID != 0 && r.State == lv.ReleaseApplied && !moves {
				return r, nil
			}
			return s.PutRelease(ctx, t, r, by)
		}
	})},
	{what: "takes up again what is over", caught: planFinal, wrap: badRelease(forgivingRelease(lv.ErrTooLate))},
	{what: "takes what is over for changed", caught: planFinal, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if errors.Is(err, lv.ErrTooLate) {
				err = lv.ErrStale
			}
			return answer, err
		}
	})},
}
