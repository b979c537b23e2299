package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/upkeep-go/upkeep/lv"
)

// What a replica does not have.
var errReadOnly = fmt.Errorf("lv/replica: %w: only the server has it", errors.ErrUnsupported)

var _ lv.VersionStore = (*source)(nil)

func none[T any](yield func(T, error) bool) {
	var zero T
	yield(zero, errReadOnly)
}

// Write implements lv.VersionStore.
func (s *source) Write(context.Context, lv.TableID, []lv.Edit, lv.By) ([]lv.Version, error) {
	return nil, errReadOnly
}

// PutRelease implements lv.VersionStore.
func (s *source) PutRelease(context.Context, lv.TableID, lv.Release, lv.By) (lv.Release, error) {
	return lv.Release{}, errReadOnly
}

// PutStrategy implements lv.VersionStore.
func (s *source) PutStrategy(context.Context, lv.TableID, lv.Strategy, lv.By) (lv.Strategy, error) {
	return lv.Strategy{}, errReadOnly
}

// Rows implements lv.VersionStore.
func (s *source) Rows(context.Context, lv.TableID, lv.View) iter.Seq2[lv.Row, error] {
	return none[lv.Row]
}

// Versions implements lv.VersionStore.
func (s *source) Versions(context.Context, lv.TableID, lv.Query) iter.Seq2[lv.Version, error] {
	return none[lv.Version]
}

// Releases implements lv.VersionStore.
func (s *source) Releases(context.Context, lv.TableID, lv.Query) iter.Seq2[lv.Release, error] {
	return none[lv.Release]
}
