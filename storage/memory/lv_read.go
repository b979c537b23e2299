package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
)

// Rows implements lv.VersionStore.
func (s *versions) Rows(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		rows, err := s.view(ctx, id, v)
		for _, r := range rows {
			if err := ctx.Err(); err != nil {
				yield(lv.Row{}, err)
				return
			}
			r.Content = slices.Clone(r.Content)
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(lv.Row{}, err)
		}
	}
}

// view returns the rows of a view, whose contents are not the caller's.
func (s *versions) view(ctx context.Context, id lv.TableID, v lv.View) (rows []lv.Row, err error) {
	if err := v.Check(); err != nil {
		return nil, err
	}
	if err := s.db.lock(ctx); err != nil {
		return nil, err
	}
	defer s.db.mu.Unlock()
	t := s.table(id)
	switch {
	case v.AsOf > s.log.Last():
		return nil, fmt.Errorf("%w: event %d", lv.ErrNotFound, v.AsOf)
	case v.AsOf > 0 && v.AsOf <= s.log.Forgotten() && v.AsOf < t.seq:
		return nil, fmt.Errorf("%w: event %d", lv.ErrCompacted, v.AsOf)
	}
	for _, r := range t.candidates(v) {
		shown, ok := r.shown(v)
		if !ok {
			continue
		}
		if shown.forgotten {
			return nil, fmt.Errorf("%w: version %d", lv.ErrCompacted, shown.ID)
		}
		rows = append(rows, r.as(shown, v))
	}
	return rows, nil
}

// candidates returns the rows among which those of a view are, in its order.
func (t *table) candidates(v lv.View) (rows []*row) {
	if v.Rows != nil {
		for _, id := range v.Rows {
			if r := t.rows[id]; r != nil && id > v.After {
				rows = append(rows, r)
			}
		}
		return rows
	}
	from := t.rows
	switch {
	case v.Deleted:
		from = t.byStatus[rowDeleted]
	case v.Status == lv.StatusPublished:
		from = t.byStatus[rowSame]
	case v.Status == lv.StatusChanged:
		from = t.byStatus[rowChanged]
	}
	for r := range maps.Values(from) {
		if r.name > v.After {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(a.name, b.name) })
	return rows
}

// shown returns the version of a row that a view shows, if it does.
func (r *row) shown(v lv.View) (*version, bool) {
	switch {
	case v.Working && v.Deleted:
		return r.working(), r.status == rowDeleted
	case v.Working && v.Status == lv.StatusPublished:
		return r.working(), r.status == rowSame
	case v.Working && v.Status == lv.StatusChanged:
		return r.working(), r.status == rowChanged
	case v.Working:
		working := r.workingAt(v.AsOf)
		return working, working.shows()
	}
	at := r.pointerAt(v.Env, v.AsOf)
	if v.Own {
		return at, at != nil
	}
	if at == nil {
		at = r.pointerAt(lv.Production, v.AsOf)
	}
	return at, at.shows()
}

// workingAt returns the version of the working row as of an event, or nil.
func (r *row) workingAt(seq int64) *version {
	for _, v := range slices.Backward(r.versions) {
		if seq == 0 || v.seq <= seq {
			return v
		}
	}
	return nil
}

// pointerAt returns what env pointed at as of an event, or nil.
func (r *row) pointerAt(env lv.Env, seq int64) *version {
	for _, m := range slices.Backward(r.moves[env]) {
		if seq == 0 || m.seq <= seq {
			return m.to
		}
	}
	return nil
}

// as returns a version as a row of a view.
func (r *row) as(shown *version, v lv.View) lv.Row {
	out := lv.Row{
		ID: r.name, Version: shown.ID, Content: shown.Content,
		CreatedAt: r.created, UpdatedAt: shown.Time,
	}
	switch {
	case !v.Working || v.AsOf > 0:
	case r.status == rowSame:
		out.Status = lv.StatusPublished
	default:
		out.Status = lv.StatusChanged
	}
	return out
}

// Versions implements lv.VersionStore.
func (s *versions) Versions(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	if q.ID != 0 {
		return one(ctx, s, id, func(t *table) (lv.Version, bool) {
			v, err := t.find(lv.VersionID(q.ID))
			if err != nil || q.Row != "" && v.Row != q.Row || q.After != 0 && q.ID >= q.After {
				return lv.Version{}, false
			}
			return t.out(v), true
		})
	}
	return newestFirst(ctx, s.db, cmp.Or(q.After, math.MaxInt64), func(before int64) (lv.Version, int64, bool) {
		t := s.table(id)
		list := t.versions
		if q.Row != "" {
			if list = nil; t.rows[q.Row] != nil {
				list = t.rows[q.Row].versions
			}
		}
		i, _ := slices.BinarySearchFunc(list, lv.VersionID(before), byID)
		for i--; i >= 0; i-- {
			if !list[i].forgotten {
				return t.out(list[i]), int64(list[i].ID), true
			}
		}
		return lv.Version{}, 0, false
	})
}

// Releases implements lv.VersionStore.
func (s *versions) Releases(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	selects := func(r *lv.Release) bool {
		concerns := func(c lv.Change) bool { return c.Row == q.Row }
		return (q.State == "" || q.State == r.State) && (q.Row == "" || slices.ContainsFunc(r.Changes, concerns))
	}
	switch {
	case q.RequestID != "":
		return one(ctx, s, id, func(t *table) (lv.Release, bool) {
			answer, ok := t.requests[q.RequestID].(lv.Release)
			return cloneRelease(answer), ok && answer.ID != 0
		})
	case q.ID != 0:
		return one(ctx, s, id, func(t *table) (lv.Release, bool) {
			i, ok := slices.BinarySearchFunc(t.releases, q.ID, releaseByID)
			if !ok || !selects(t.releases[i]) || q.After != 0 && q.ID >= q.After {
				return lv.Release{}, false
			}
			return cloneRelease(*t.releases[i]), true
		})
	}
	return newestFirst(ctx, s.db, cmp.Or(q.After, math.MaxInt64), func(before int64) (lv.Release, int64, bool) {
		t := s.table(id)
		i, _ := slices.BinarySearchFunc(t.releases, before, releaseByID)
		for i--; i >= 0; i-- {
			if r := t.releases[i]; selects(r) {
				return cloneRelease(*r), r.ID, true
			}
		}
		return lv.Release{}, 0, false
	})
}

func releaseByID(r *lv.Release, id int64) int { return cmp.Compare(r.ID, id) }

// one lists what find returns of a table, if it is there. Find is called with
// the mutex.
func one[T any](ctx context.Context, s *versions, id lv.TableID, find func(*table) (T, bool)) iter.Seq2[T, error] {
	return newestFirst(ctx, s.db, 1, func(before int64) (entry T, at int64, ok bool) {
		if before > 0 {
			entry, ok = find(s.table(id))
		}
		return entry, 0, ok
	})
}

// Watch implements lv.VersionStore.
func (s *versions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return s.log.Watch(ctx, after)
}

// forget implements store.
func (s *versions) forget() {
	s.tables = nil
	s.log.Close(storage.ErrClosed)
}
