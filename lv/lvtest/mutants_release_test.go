package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
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
	{What: "does not say what was there", Caught: releasePoints, Wrap: released(func(_ lv.Release, a *lv.Release) {
		for i := range a.Changes {
			a.Changes[i].From = 0
		}
	})},
	{What: "takes the author from the caller", Caught: releasePoints, Wrap: released(func(r lv.Release, a *lv.Release) { a.By = r.By })},
	{What: "publishes the first version", Caught: releasePoints, Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			all := items(s.Versions(context.Background(), t, lv.Query{Row: c.Row}))
			if c.Working && len(all) > 0 {
				r.Changes[i] = lv.Change{Row: c.Row, To: all[len(all)-1].ID}
			}
		}
	})},
	{What: "compares the ids of versions", Caught: releaseStatus, Wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		if v.Working && v.AsOf == 0 && r.Status == lv.StatusPublished && pointer(s, t, "", r.ID) != r.Version {
			r.Status = lv.StatusChanged
		}
		return true
	})},
	{What: "takes what a gray shows for published", Caught: releaseStatus, Wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		for _, env := range envs(s, t) {
			if v.Working && v.AsOf == 0 && pointer(s, t, env, r.ID) == r.Version {
				r.Status = lv.StatusPublished
			}
		}
		return true
	})},
	{What: "records what moves nothing", Caught: releaseNothing, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
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
	{What: "returns the last release of the table", Caught: releaseNothing, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if all := items(s.Releases(ctx, t, lv.Query{State: lv.ReleaseApplied})); err == nil && r.ID == 0 && r.State == lv.ReleaseApplied && len(all) > 0 {
				return all[0], nil
			}
			return answer, err
		}
	})},
	{What: "shows nothing in an untouched gray", Caught: grayFollows, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			own := v.Own
			v.Own = own || v.Env != "" && !slices.Contains(envs(s, t), v.Env)
			return provetest.Each(s.Rows(ctx, t, v), func(_ int, r *lv.Row) bool { return own || v.Working || r.Content != nil })
		}
	})},
	{What: "copies production into a new gray", Caught: grayFollows, Wrap: badRelease(copiesProduction)},
	{What: "moves grays with production", Caught: grayFollows, Wrap: badRelease(movesGrays)},
	{What: "publishes to every gray", Caught: grayAlone, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
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
	{What: "rolls back the working row with a gray", Caught: grayAlone, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
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
	{What: "lists grays as they were made", Caught: grayAlone, Wrap: eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		slices.Reverse(i.Envs)
		return true
	})},
	{What: "has no deletions in a gray", Caught: grayHides, Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if v := newest(s, t, c.Row); r.Env != "" && v.Op == lv.OpDelete && (c.Working || c.To == v.ID) {
				r.Changes[i].Working, r.Changes[i].To = false, 0
			}
		}
	})},
	{What: "hides deletions among pointers", Caught: grayHides, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Own || r.Content != nil
	})},
	{What: "takes a deletion in a gray for published", Caught: grayHides, Wrap: eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Deleted || !slices.ContainsFunc(envs(s, t), func(env lv.Env) bool { return pointer(s, t, env, r.ID) == r.Version })
	})},
	{What: "publishes a deletion as nothing", Caught: releaseDeletes, Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if v := newest(s, t, c.Row); r.Env == "" && v.Op == lv.OpDelete && (c.Working || c.To == v.ID) {
				r.Changes[i].Working, r.Changes[i].To = false, 0
			}
		}
	})},
	{What: "resets to what production has", Caught: "a reset row follows production again", Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if r.Env != "" && c.To == 0 && !c.Working {
				r.Changes[i].To = pointer(s, t, "", c.Row)
			}
		}
	})},
	{What: "drops a gray that follows production", Caught: "a reset row follows production again", Wrap: eachTable(func(s lv.VersionStore, i *lv.TableInfo) bool {
		i.Envs = slices.DeleteFunc(i.Envs, func(env lv.Env) bool {
			return slices.ContainsFunc(items(s.Releases(context.Background(), i.ID, lv.Query{})), func(r lv.Release) bool { return r.Env == env && r.Changes[0].To == 0 })
		})
		return true
	})},
	{What: "moves pointer by pointer", Caught: releaseAll, Wrap: badRelease(movesSingly)},
	{What: "points at any row's version", Caught: releaseAll, Wrap: badRelease(forgivingRelease(lv.ErrNotFound)), Unnoted: true},
	{What: "takes a row twice", Caught: releaseAll, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		seen := make(map[string]bool)
		r.Changes = slices.DeleteFunc(r.Changes, func(c lv.Change) bool {
			again := seen[c.Row]
			seen[c.Row] = true
			return again
		})
	}), Unnoted: true},
	{What: "expects nothing", Caught: releaseExpects, Wrap: releasing(expectsNothing)},
	{What: "lists every change as a conflict", Caught: releaseExpects, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			var conflict *lv.ConflictError
			if errors.As(err, &conflict) {
				err = &lv.ConflictError{Changes: r.Changes}
			}
			return answer, err
		}
	})},
	{What: "lists one conflict", Caught: releaseExpects, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			var conflict *lv.ConflictError
			if errors.As(err, &conflict) {
				err = &lv.ConflictError{Changes: conflict.Changes[:1]}
			}
			return answer, err
		}
	}), Unnoted: true},
	{What: "takes 0 for any pointer", Caught: releaseExpects, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		for i, c := range r.Changes {
			if c.Expect != nil && *c.Expect == 0 {
				r.Changes[i].Expect = nil
			}
		}
	})},
	{What: "cannot take back to nothing", Caught: releaseBack, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		if r.Reverts != 0 {
			r.Changes = slices.DeleteFunc(r.Changes, func(c lv.Change) bool { return c.To == 0 })
		}
	})},
	{What: "takes back what has moved since", Caught: releaseBack, Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		if r.Reverts != 0 {
			expectsNothing(s, t, r)
		}
	})},
	{What: "forgets requests to release", Caught: releaseRepeats, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			by.RequestID = ""
			return s.PutRelease(ctx, t, r, by)
		}
	})},
	{What: "creates a release when it applies it", Caught: "a release has its times", Wrap: released(func(_ lv.Release, a *lv.Release) {
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
	{What: "drops what a plan expects", Caught: planReturns, Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		if r.State != lv.ReleaseApplied {
			expectsNothing(s, t, r)
		}
	}), Unnoted: true},
	{What: "applies a plan", Caught: planReturns, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) { r.State = lv.ReleaseApplied })},
	{What: "makes a gray for a plan", Caught: planReturns, Wrap: eachTable(func(s lv.VersionStore, i *lv.TableInfo) bool {
		for _, r := range items(s.Releases(context.Background(), i.ID, lv.Query{})) {
			if !slices.Contains(i.Envs, r.Env) && r.Env != "" {
				i.Envs = append(i.Envs, r.Env)
				slices.Sort(i.Envs)
			}
		}
		return true
	})},
	{What: "replaces any rev", Caught: planReplaced, Wrap: releasing(func(s lv.VersionStore, t lv.TableID, r *lv.Release) {
		for _, old := range items(s.Releases(context.Background(), t, lv.Query{})) {
			if old.ID == r.ID {
				r.Rev = old.Rev
			}
		}
	})},
	{What: "takes who changes a plan for its author", Caught: planReplaced, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			answer.By = by
			return answer, err
		}
	}), Unnoted: true},
	{What: "forgets who writes a plan", Caught: planReplaced, Wrap: released(func(_ lv.Release, a *lv.Release) { a.Last = a.By })},
	{What: "plans what it does not find", Caught: planReplaced, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if errors.Is(err, lv.ErrNotFound) && r.ID != 0 {
				r.ID = 0
				return s.PutRelease(ctx, t, r, by)
			}
			return answer, err
		}
	}), Unnoted: true},
	{What: "publishes the working rows of a plan", Caught: planPinned, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		for i := range r.Changes {
			r.Changes[i].Working = r.Changes[i].Working || r.ID != 0 && r.State == lv.ReleaseApplied
		}
	})},
	{What: "applies what it can of a plan", Caught: planConflicts, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
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
	}), Unnoted: true},
	{What: "leaves a plan that moves nothing", Caught: planNothing, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			moves := slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.Working || pointer(s, t, r.Env, c.Row) != c.To })
			if r.ID != 0 && r.State == lv.ReleaseApplied && !moves {
				return r, nil
			}
			return s.PutRelease(ctx, t, r, by)
		}
	})},
	{What: "takes up again what is over", Caught: planFinal, Wrap: badRelease(forgivingRelease(lv.ErrTooLate))},
	{What: "takes what is over for changed", Caught: planFinal, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if errors.Is(err, lv.ErrTooLate) {
				err = lv.ErrStale
			}
			return answer, err
		}
	})},
}
