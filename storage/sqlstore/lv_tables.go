package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	lvTablesFirst = `SELECT id, app, schema FROM upkeep_lv_table ORDER BY app, schema LIMIT 16`
	lvTablesAfter = `
SELECT id, app, schema FROM upkeep_lv_table WHERE (app, schema) > (?1, ?2) ORDER BY app, schema LIMIT 16`
	lvTableSeq = `
SELECT coalesce((SELECT max(e.seq) FROM upkeep_lv_event e WHERE e.tbl = ?1),
	(SELECT t.seq FROM upkeep_lv_table t WHERE t.id = ?1), 0)`
	lvEnvs = `SELECT name FROM upkeep_lv_env WHERE tbl = ?1 ORDER BY name`
)

const tablePage = 16

// Tables keeps the promise of lv.VersionStore.
func (s *Versions) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	if len(ids) > 0 {
		return s.tablesNamed(ctx, ids)
	}
	return pages(tablePage, func(last *lv.TableInfo) (page []lv.TableInfo, err error) {
		err = s.db.Read(ctx, func(tx Tx) (err error) {
			if last == nil {
				page, err = s.tablePage(tx, lvTablesFirst)
			} else {
				page, err = s.tablePage(tx, lvTablesAfter, []byte(last.ID.App), []byte(last.ID.Schema))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading tables: %w", err)
		}
		return page, nil
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
					info, err = t.info()
				}
				return err
			})
			if err != nil {
				yield(lv.TableInfo{}, fmt.Errorf("reading tables: %w", err))
				return
			}
			if there && !yield(info, nil) {
				return
			}
		}
	}
}

func (s *Versions) tablePage(tx Tx, query string, args ...any) (page []lv.TableInfo, err error) {
	var tables []lvTable
	err = tx.Query(query, args, func(scan func(...any) error) error {
		t := lvTable{Tx: tx, s: s}
		var app, schema []byte
		err := scan(&t.n, &app, &schema)
		t.id = lv.TableID{App: string(app), Schema: string(schema)}
		tables = append(tables, t)
		return err
	})
	for _, t := range tables {
		if err != nil {
			return nil, err
		}
		var info lv.TableInfo
		info, err = t.info()
		page = append(page, info)
	}
	return page, err
}

// info reads what there is of a table but for its rows.
func (t lvTable) info() (lv.TableInfo, error) {
	info := lv.TableInfo{ID: t.id}
	if err := t.Row(lvTableSeq, []any{t.n}, &info.Seq); err != nil {
		return info, err
	}
	err := t.Query(lvEnvs, []any{t.n}, func(scan func(...any) error) error {
		var name []byte
		err := scan(&name)
		info.Envs = append(info.Envs, lv.Env(name))
		return err
	})
	if err != nil {
		return info, err
	}
	err = t.Query(lvStrategies, []any{t.n}, func(scan func(...any) error) error {
		var id, seq int64
		var record string
		if err := scan(&id, &seq, &record); err != nil {
			return err
		}
		s, err := decodeStrategy(record)
		s.ID, s.Seq = id, seq
		info.Strategies = append(info.Strategies, s)
		return err
	})
	return info, err
}
