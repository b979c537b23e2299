package lv

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// Shown is where the content of a row is shown, whatever has become of the
// working row.
type Shown struct {
	Row string
	// Envs are those that point at a content of the row themselves: Production
	// first, then grays by name. A gray that follows Production is not one of
	// them.
	Envs []Env
	// Strategies are those that have a content of the row to show, in the order
	// in which they are tried: disabled ones, and those that are Corrupt, too.
	Strategies []Strategy
}

// Shown tells of each row where it is still shown, in the order of the rows;
// nowhere, if there is no such row. A deletion that View.Deleted lists is
// complete once each of these has let go of the row: the environments by
// publishing the deletion, a strategy by its own deletion or another target.
// It needs a store, and is not of one moment: what others write meanwhile may
// be in it or not.
func (t *Table) Shown(ctx context.Context, rows ...string) ([]Shown, error) {
	r, err := t.current(ctx)
	if err != nil {
		return nil, err
	}
	strategies, err := t.showing(ctx, rows)
	if err != nil {
		return nil, err
	}
	grays := slices.Sorted(maps.Keys(r.grays))
	all := make([]Shown, len(rows))
	for i, row := range rows {
		all[i] = Shown{Row: row, Strategies: strategies[row]}
		if r.production.rows.find(row).shows() {
			all[i].Envs = []Env{Production}
		}
		for _, env := range grays {
			if r.own(env, row).shows() {
				all[i].Envs = append(all[i].Envs, env)
			}
		}
	}
	return all, nil
}

// showing returns the strategies that have a content of some rows to show. One
// that is Corrupt does not say of which row it is.
func (t *Table) showing(ctx context.Context, rows []string) (map[string][]Strategy, error) {
	all, err := t.Strategies(ctx)
	if err != nil {
		return nil, err
	}
	byRow := make(map[string][]Strategy)
	for _, s := range all {
		if !s.Corrupt && !slices.Contains(rows, s.Row) {
			continue
		}
		target, err := t.VersionByID(ctx, s.Target)
		if errors.Is(err, ErrNotFound) { // forgotten meanwhile, as nothing refers to it any more
			continue
		}
		if err != nil && !isContent(err) {
			return nil, err
		}
		if target.Op != OpDelete {
			byRow[target.Row] = append(byRow[target.Row], s)
		}
	}
	return byRow, nil
}
