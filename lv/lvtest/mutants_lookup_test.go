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
	{What: "does not look for a version", Caught: versionFound, Unnoted: true, Wrap: querying(func(q *lv.Query) { q.ID = 0 })},
	{What: "finds a version of any row", Caught: versionFound, Unnoted: true, Wrap: querying(func(q *lv.Query) {
		if q.ID != 0 {
			q.Row = ""
		}
	})},
	{What: "finds the next version", Caught: versionFound, Unnoted: true, Wrap: badVersions(func(s lv.VersionStore) versionsFunc {
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
	{What: "does not look for a release", Caught: releaseFound, Unnoted: true, Wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		if q.RequestID == "" {
			q.ID = 0
		}
		return s.Releases(context.Background(), t, q)
	})},
	{What: "finds a release in any state", Caught: releaseFound, Unnoted: true, Wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		q.State = ""
		return s.Releases(context.Background(), t, q)
	})},
	{What: "answers another kind of request with nothing", Caught: requestKinds, Unnoted: true, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if by.RequestID != "" && errors.Is(err, lv.ErrStale) {
				return lv.Release{}, nil
			}
			return answer, err
		}
	})},
	{What: "finds what has become of the answer", Caught: answerFound, Unnoted: true, Wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
		all := items(s.Releases(context.Background(), t, q))
		if q.RequestID == "" || len(all) == 0 {
			return itemsOf(all)
		}
		return s.Releases(context.Background(), t, lv.Query{ID: all[0].ID})
	})},
	{What: "finds who was asked last", Caught: answerFound, Unnoted: true, Wrap: finding(func(s lv.VersionStore, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
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
