package lvtest_test

import (
	"context"
	"errors"
	"iter"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	versionFound = "a version is found by its id"
	releaseFound = "a release is found by its id"
	answerFound  = "what a request was answered is found"
	requestKinds = "a request id belongs to one kind of write"
)

// finding answers a query of one release.
func finding(find func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error]) breaking {
	return badReleases(func(s lv.VersionStore) releasesFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			if q.ID == 0 && q.RequestID == "" {
				return s.Releases(ctx, t, q)
			}
			return find(s, t, q)
		}
	})
}

// lookupMutants are not met by random histories, which look nothing up.
var lookupMutants = []mutant{
	{what: "does not look for a version", caught: versionFound, unnoted: true, wrap: querying(func(q *lv.Query) { q.ID = 0 })},
	{what: "finds a version of any row", caught: versionFound, unnoted: true, wrap: querying(func(q *lv.Query) {
		if q.ID != 0 {
			q.Row = ""
		}
	})},
	{what: "finds the next version", caught: versionFound, unnoted: true, wrap: badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			if q.ID > 0 && q.Row == "" && q.After == 0 {
				return func(yield func(lv.Version, error) bool) {
					for v, err := range s.Versions(ctx, t, lv.Query{After: q.ID + 1}) {
						yield(v, err)
						return
					}
				}
			}
			return s.Versions(ctx, t, q)
		}
	})},
	{what: "does not look for a release", caught: releaseFound, unnoted: true, wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		if q.RequestID == "" {
			q.ID = 0
		}
		return s.Releases(context.Background(), t, q)
	})},
	{what: "finds a release in any state", caught: releaseFound, unnoted: true, wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		q.State = ""
		return s.Releases(context.Background(), t, q)
	})},
	{what: "answers another kind of request with nothing", caught: requestKinds, unnoted: true, wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if by.RequestID != "" && errors.Is(err, lv.ErrStale) {
				return lv.Release{}, nil
			}
			return answer, err
		}
	})},
	{what: "finds what has become of the answer", caught: answerFound, unnoted: true, wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		all := items(s.Releases(context.Background(), t, q))
		if q.RequestID == "" || len(all) == 0 {
			return itemsOf(all)
		}
		return s.Releases(context.Background(), t, lv.Query{ID: all[0].ID})
	})},
	{what: "finds who was asked last", caught: answerFound, unnoted: true, wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		if q.RequestID == "" {
			return s.Releases(context.Background(), t, q)
		}
		var all []lv.Release
		for _, r := range items(s.Releases(context.Background(), t, lv.Query{})) {
			if r.Last.RequestID == q.RequestID {
				all = append(all, r)
			}
		}
		return itemsOf(all)
	})},
}
