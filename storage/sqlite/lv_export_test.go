package sqlite

import "github.com/upkeep-go/upkeep/storage/sqlstore"

// Engine lets tests put something between the statements and the engine.
func (d *DB) Engine() sqlstore.DB { return d.engine }
