package sqlstore

import (
	"fmt"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	lvForgettable = `
SELECT v.name, CASE
	WHEN r.live = v.id THEN 'production'
	WHEN EXISTS (SELECT 1 FROM upkeep_lv_gray g WHERE g.version = v.id AND g.version > 0) THEN 'a gray'
	WHEN EXISTS (SELECT 1 FROM upkeep_lv_strategy y WHERE y.target = v.id AND y.deleted = 0) THEN 'a strategy'
	WHEN EXISTS (SELECT 1 FROM upkeep_lv_change c
		JOIN upkeep_lv_release p ON p.tbl = c.tbl AND p.id = c.release
		WHERE c.to_version = v.id AND c.moved = 0 AND p.state IN ('draft', 'approved', 'scheduled'))
		THEN 'a drafted release'
	WHEN EXISTS (SELECT 1 FROM upkeep_lv_env e CROSS JOIN upkeep_lv_change c
		WHERE e.tbl = v.tbl AND c.tbl = v.tbl AND c.env = e.name AND c.name = v.name AND c.moved > 0
		AND c.from_version = v.id AND NOT EXISTS (SELECT 1 FROM upkeep_lv_change o
			JOIN upkeep_lv_row w ON w.tbl = o.tbl AND w.name = o.name
			LEFT JOIN upkeep_lv_gray g ON g.tbl = o.tbl AND g.env = o.env AND g.name = o.name
			WHERE o.release = c.release AND o.from_version <> o.to_version
			AND o.to_version <> CASE WHEN length(o.env) = 0 THEN w.live ELSE coalesce(g.version, 0) END))
		THEN 'a release that can be reverted'
	WHEN r.working = v.id THEN '` + lvWorking + `'
	ELSE '' END
FROM upkeep_lv_version v JOIN upkeep_lv_row r ON r.tbl = v.tbl AND r.name = v.name
WHERE v.id = ?2 AND v.tbl = ?1 AND v.forgotten = 0`

	lvWorking = `the working row`

	lvForget = `
UPDATE upkeep_lv_version SET forgotten = (SELECT max(seq) + 1 FROM upkeep_lv_event) WHERE id = ?1`
)

// forget hides a version. It is deleted once no event that is kept tells of it.
func (e *lvEdits) forget(edit lv.Edit) (lvResult, error) {
	id := int64(edit.Version)
	var name []byte
	var referrer string
	err := e.Row(lvForgettable, []any{e.n, id}, &name, &referrer)
	if err != nil {
		return lvResult{}, unlessThere(err, lv.ErrNotFound, edit.Version)
	}
	r := e.rows[string(name)]
	replaced := referrer == lvWorking && r != nil && r.fresh != nil
	if referrer != "" && !replaced {
		return lvResult{}, fmt.Errorf("%w: %s refers to version %d", lv.ErrStale, referrer, id)
	}
	if edit.Expect != nil {
		if r, err = e.row(string(name)); err != nil {
			return lvResult{}, err
		}
		e.expect(edit, r)
	}
	v, err := e.version(id)
	if err != nil && !isContent(err) {
		return lvResult{}, err
	}
	err = e.Exec(lvForget, id)
	return lvResult{there: &v}, err
}
