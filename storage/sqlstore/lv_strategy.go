package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	lvStrategyFind = `
SELECT s.rev, s.deleted, v.name FROM upkeep_lv_strategy s LEFT JOIN upkeep_lv_version v ON v.id = s.target
WHERE s.id = ?2 AND s.tbl = ?1`
	lvTargetFind = `
SELECT v.name, v.digest, b.content,` + lvHead + `
FROM upkeep_lv_version v LEFT JOIN upkeep_lv_version b ON b.id = v.body
WHERE v.id = ?2 AND v.tbl = ?1 AND v.forgotten = 0`
	lvStrategyInsert = `
INSERT INTO upkeep_lv_strategy (id, tbl, target, priority, deleted, rev, seq, record)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (id) DO UPDATE SET target = excluded.target, priority = excluded.priority, deleted = excluded.deleted,
	rev = excluded.rev, seq = excluded.seq, record = excluded.record`

	lvStrategies = `
SELECT id, seq, target, priority, rev, record FROM upkeep_lv_strategy
WHERE tbl = ?1 AND deleted = 0 ORDER BY priority DESC, id DESC`
)

// PutStrategy keeps the promise of lv.VersionStore.
func (s *Versions) PutStrategy(ctx context.Context, t lv.TableID, strategy lv.Strategy, by lv.By) (lv.Strategy, error) {
	a, err := s.write(ctx, t, by, func(w *lvWriting) (lvAnswer, error) {
		left, err := w.putStrategy(strategy)
		return lvAnswer{strategy: left}, err
	})
	if err == nil && a.strategy == nil {
		err = errOtherRequest
	}
	if err != nil {
		return lv.Strategy{}, lvWhile("putting a strategy", err)
	}
	return *a.strategy, nil
}

func (w *lvWriting) putStrategy(s lv.Strategy) (*lv.Strategy, error) {
	old, err := w.replaceable(&s)
	if err != nil {
		return nil, err
	}
	var name, digest, content []byte
	err = w.Row(w.s.findTarget, w.s.d.withNow(w.n, int64(s.Target)), append([]any{&name, &digest, &content}, w.head()...)...)
	err = unlessThere(err, lv.ErrNotFound, s.Target)
	if err == nil && !s.Deleted && !s.Disabled && !intact(content, digest) {
		err = w.corrupt(string(name), s.Target)
	}
	if err != nil {
		return nil, err
	}
	s.Row, s.Priority, s.By, s.Rev = string(name), cmp.Or(s.Priority, int64(s.Target)), w.by, s.Rev+1
	record, err := encodeStrategy(s)
	if err != nil {
		return nil, err
	}
	if err = w.event(lvEvent{kind: lv.EventStrategy, subject: s.ID, moved: 1, strategy: record}); err != nil {
		return nil, err
	}
	s.ID, s.Seq = cmp.Or(s.ID, w.seq), w.seq
	err = w.Exec(lvStrategyInsert, s.ID, w.n, int64(s.Target), s.Priority, flag(s.Deleted), s.Rev, s.Seq, record)
	for _, row := range []string{old, s.Row} {
		if err == nil {
			err = w.judge(row)
		}
	}
	if err != nil {
		return nil, err
	}
	// As it will be read, and nothing of the caller's.
	left, err := decodeStrategy(record)
	left.ID, left.Seq = s.ID, s.Seq
	return &left, err
}

// replaceable checks that s may replace the strategy that has its ID, if it has
// one, and returns the row of that.
func (w *lvWriting) replaceable(s *lv.Strategy) (row string, err error) {
	if s.ID == 0 {
		s.Rev = 0
		return "", nil
	}
	var rev, deleted int64
	var name []byte
	err = w.Row(lvStrategyFind, []any{w.n, s.ID}, &rev, &deleted, &name)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && deleted == 1:
		return "", fmt.Errorf("%w: strategy %d", lv.ErrNotFound, s.ID)
	case err == nil && rev != s.Rev:
		return "", fmt.Errorf("%w: strategy %d has changed", lv.ErrStale, s.ID)
	}
	return string(name), err
}
