package sqlstore

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	lvTablesFirst = `SELECT id, app, schema FROM upkeep_lv_table ORDER BY app, schema LIMIT {size}`
	lvTablesAfter = `
SELECT id, app, schema FROM upkeep_lv_table WHERE (app, schema) > (?1, ?2) ORDER BY app, schema LIMIT {size}`
	// lvTableSeqs finds the last event of a table of each kind: events
	// themselves are found by their seq alone.
	lvTableSeqs = `
SELECT coalesce((SELECT v.seq FROM upkeep_lv_version v WHERE v.tbl = ?1 ORDER BY v.id DESC LIMIT 1), 0),
	coalesce((SELECT max(r.id) FROM upkeep_lv_release r WHERE r.tbl = ?1), 0),
	coalesce((SELECT max(r.changed) FROM upkeep_lv_release r WHERE r.tbl = ?1 AND r.changed <> r.id), 0),
	coalesce((SELECT max(y.seq) FROM upkeep_lv_strategy y WHERE y.tbl = ?1), 0)`
	lvTableInfo = lvTableSeqs + `,
	coalesce((SELECT h.name FROM upkeep_history h ORDER BY h.base DESC LIMIT 1), '')`
	lvEventTime = `SELECT time_ms FROM upkeep_lv_event WHERE seq = ?1`
	lvEnvs      = `SELECT name FROM upkeep_lv_env WHERE tbl = ?1 ORDER BY name` // Production is the first
)

const tablePage = 16

// Tables keeps the promise of lv.VersionStore.
func (s *Versions) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	if ids != nil {
		return s.tablesNamed(ctx, ids)
	}
	return list(evenly(tablePage), lv.TableID{}, func(after lv.TableID, size int) (p page[lv.TableInfo, lv.TableID], err error) {
		q := query{text: lvTablesFirst}
		if after != (lv.TableID{}) {
			q = query{lvTablesAfter, []any{[]byte(after.App), []byte(after.Schema)}}
		}
		q.text = limited(q.text, size)
		err = s.db.Read(ctx, func(tx Tx) error {
			p = page[lv.TableInfo, lv.TableID]{}
			var numbers []int64
			err := p.read(tx, q, func(scan func(...any) error) error {
				var n int64
				var app, schema []byte
				err := scan(&n, &app, &schema)
				id := lv.TableID{App: string(app), Schema: string(schema)}
				numbers = append(numbers, n)
				p.entries, p.keys = append(p.entries, lv.TableInfo{ID: id}), append(p.keys, id)
				return err
			})
			if err != nil {
				return err
			}
			return p.complete(0, func(info *lv.TableInfo) (size int, err error) {
				t := lvTable{Tx: tx, s: s, id: info.ID, n: numbers[0]}
				numbers = numbers[1:]
				*info, size, err = t.info()
				return size, err
			})
		})
		return p, lvWhile("reading tables", err)
	})
}

func (s *Versions) tablesNamed(ctx context.Context, ids []lv.TableID) iter.Seq2[lv.TableInfo, error] {
	ids = slices.SortedFunc(slices.Values(ids), func(a, b lv.TableID) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Schema, b.Schema))
	})
	ids = slices.Compact(ids)
	return func(yield func(lv.TableInfo, error) bool) {
		for _, id := range ids {
			var info lv.TableInfo
			there := false
			err := s.read(ctx, id, func(t lvTable) (err error) {
				if there = t.n > 0; there {
					info, _, err = t.info()
				}
				return err
			})
			if err != nil {
				yield(lv.TableInfo{}, lvWhile("reading tables", err))
				return
			}
			if there && !yield(info, nil) {
				return
			}
		}
	}
}

// info reads what there is of a table but for its rows, and how long its
// strategies are.
func (t lvTable) info() (info lv.TableInfo, size int, err error) {
	info.ID = t.id
	var saved, released, planned, chosen int64
	err = t.Row(lvTableInfo, []any{t.n}, &saved, &released, &planned, &chosen, &info.History)
	if err != nil {
		return info, 0, err
	}
	info.Seq = max(saved, released, planned, chosen)
	var ms int64
	if _, err := found(t.Row(lvEventTime, []any{info.Seq}, &ms)); err != nil {
		return info, 0, err
	}
	info.Time = utc(ms)
	envs, err := t.envs()
	if err != nil {
		return info, 0, err
	}
	if len(envs) > 1 {
		info.Envs = envs[1:]
	}
	err = t.Query(lvStrategies, []any{t.n}, func(scan func(...any) error) error {
		var id, seq, target, priority, rev int64
		var record string
		if err := scan(&id, &seq, &target, &priority, &rev, &record); err != nil {
			return err
		}
		s, err := decodeStrategy(record)
		if err != nil {
			s = lv.Strategy{Target: lv.VersionID(target), Priority: priority, Rev: rev, Corrupt: true}
		}
		s.ID, s.Seq = id, seq
		info.Strategies, size = append(info.Strategies, s), size+len(record)
		return nil
	})
	return info, size, err
}

// seq returns that of the last event of the table.
func (t lvTable) seq() (int64, error) {
	var saved, released, planned, chosen int64
	err := t.Row(lvTableSeqs, []any{t.n}, &saved, &released, &planned, &chosen)
	return max(saved, released, planned, chosen), err
}

// envs returns Production and the grays of the table, by name.
func (t lvTable) envs() (envs []lv.Env, err error) {
	err = t.Query(lvEnvs, []any{t.n}, func(scan func(...any) error) error {
		var name []byte
		err := scan(&name)
		envs = append(envs, lv.Env(name))
		return err
	})
	return envs, err
}
