package lv

import (
	"context"
	"fmt"
)

// VersionByID returns a version of the table, or ErrNotFound. Beside a
// *CorruptError it has no Content.
func (t *Table) VersionByID(ctx context.Context, id VersionID) (Version, error) {
	if id > 0 {
		for v, err := range t.soundVersions(ctx, Query{ID: int64(id)}) {
			return v, err
		}
	}
	return Version{}, fmt.Errorf("%w: version %d", ErrNotFound, id)
}

// ReleaseByID returns a release of the table, drafted or applied, or ErrNotFound.
func (t *Table) ReleaseByID(ctx context.Context, id int64) (Release, error) {
	if id > 0 {
		for r, err := range t.Releases(ctx, Query{ID: id}) {
			return r, err
		}
	}
	return Release{}, fmt.Errorf("%w: release %d", ErrNotFound, id)
}

// StrategyByID returns a strategy of the table, or ErrNotFound, which a deleted
// one is too.
func (t *Table) StrategyByID(ctx context.Context, id int64) (Strategy, error) {
	all, err := t.Strategies(ctx)
	if err != nil {
		return Strategy{}, err
	}
	for _, s := range all {
		if s.ID == id {
			return s, nil
		}
	}
	return Strategy{}, fmt.Errorf("%w: strategy %d", ErrNotFound, id)
}
