package lvtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
)

// forgetsUnmoved forgets what a release has moved once one of its other rows is
// elsewhere.
func forgetsUnmoved(s lv.VersionStore) writeFunc {
	return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
		answer, err := s.Write(ctx, t, edits, by)
		for _, r := range items(s.Releases(ctx, t, lv.Query{State: lv.ReleaseApplied})) {
			from := slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return c.From == edits[0].Version })
			elsewhere := slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return pointer(s, t, r.Env, c.Row) != c.To })
			if errors.Is(err, lv.ErrStale) && edits[0].Op == lv.OpForget && from && elsewhere {
				return make([]lv.Version, len(edits)), nil
			}
		}
		return answer, err
	}
}

// keepsShown refuses to forget what a strategy has ever shown.
func keepsShown(s lv.VersionStore) lv.VersionStore {
	shown := make(map[lv.VersionID]bool)
	return &store{
		VersionStore: s,
		putStrategy: func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			shown[st.Target] = true
			return s.PutStrategy(ctx, t, st, by)
		},
		write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if edits[0].Op == lv.OpForget && shown[edits[0].Version] {
				return nil, lv.ErrStale
			}
			return s.Write(ctx, t, edits, by)
		},
	}
}

// forgetsContents drops a content that others have, too.
func forgetsContents(s lv.VersionStore) lv.VersionStore {
	gone := make(map[string]bool)
	return &store{
		VersionStore: s,
		write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			for i, v := range answer {
				gone[string(v.Content)] = edits[i].Op == lv.OpForget
			}
			return answer, err
		},
		versions: func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			return provetest.Each(s.Versions(ctx, t, q), func(_ int, v *lv.Version) bool {
				if gone[string(v.Content)] {
					v.Content = nil
				}
				return true
			})
		},
	}
}
