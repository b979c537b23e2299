package postgres

import (
	"context"
	"io/fs"
)

// OpenWith opens a database as a library with other migrations does.
func OpenWith(ctx context.Context, c Config, migrations fs.FS) (*DB, error) {
	return openWith(ctx, c, migrations)
}
