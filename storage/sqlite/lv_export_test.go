package sqlite

import (
	"context"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// Engine lets tests put something between the statements and the engine. It
// has the tables of every store.
func (d *DB) Engine() sqlstore.DB {
	ctx := context.Background()
	_, _ = d.Locker().Holder(ctx, "core")
	_, _ = d.Journal().Get(ctx, "none")
	for range d.Versions().Tables(ctx) {
		break
	}
	return d.engine
}
