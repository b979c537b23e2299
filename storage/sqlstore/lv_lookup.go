package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/lv"
)

const lvVersionKept = lvVersionsFront + `v.tbl = ?1 AND v.id = ?2 AND v.forgotten = 0` + lvVersionsBack

// versionByID lists the version that a query asks for, if it selects it.
func (s *Versions) versionByID(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return sound(single(func() (found []lvVersion, err error) {
		err = s.read(ctx, id, func(t lvTable) (err error) {
			found, _, err = t.versions(lvVersionKept, t.n, q.ID)
			return err
		})
		if err != nil {
			return nil, lvWhile("reading a version", err)
		}
		return slices.DeleteFunc(found, func(v lvVersion) bool { return q.Row != "" && v.Row != q.Row || q.ID >= lvBefore(q) }), nil
	}))
}

// releaseByID lists the release that a query asks for, if it selects it.
func (s *Versions) releaseByID(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	return single(func() (found []lv.Release, err error) {
		err = s.read(ctx, id, func(t lvTable) (err error) {
			found, err = t.releases(lvReleaseOfID, t.n, q.ID)
			return err
		})
		if err != nil {
			return nil, lvWhile("reading a release", err)
		}
		return slices.DeleteFunc(found, func(r lv.Release) bool {
			concerns := func(c lv.Change) bool { return c.Row == q.Row }
			return q.State != "" && r.State != q.State || q.ID >= lvBefore(q) || q.Row != "" && !slices.ContainsFunc(r.Changes, concerns)
		}), nil
	})
}

// releaseByRequest lists what PutRelease first returned to a request.
func (s *Versions) releaseByRequest(ctx context.Context, id lv.TableID, request string) iter.Seq2[lv.Release, error] {
	return single(func() (found []lv.Release, err error) {
		var answer answerRecord
		err = s.read(ctx, id, func(t lvTable) error {
			answer = answerRecord{}
			var record string
			err := t.Row(lvAnswerFind, []any{t.n, []byte(request)}, &record)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			return decode(record, &answer)
		})
		if err != nil {
			return nil, lvWhile("reading an answer", err)
		}
		if answer.Release == nil || answer.Release.ID == 0 {
			return nil, nil
		}
		return []lv.Release{answer.Release.release()}, nil
	})
}

// single yields a list that is one page.
func single[T any](read func() ([]T, error)) iter.Seq2[T, error] {
	return pages(func() func() ([]T, bool, error) {
		return func() ([]T, bool, error) {
			page, err := read()
			return page, false, err
		}
	})
}
