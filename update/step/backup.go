package step

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/update"
)

// Backup keeps copies of a database and puts one back. [SQLite] is one.
type Backup interface {
	// Check tells whether Save and Restore can work. It changes nothing.
	Check(ctx context.Context) error
	// Save makes sure that there is a copy for the run of t, whole or not at
	// all, and returns its name. The first copy stays as it is: later calls
	// for the same run only return its name.
	Save(ctx context.Context, t *update.Task) (name string, err error)
	// Restore makes the database what it was when the copy was made, whole or
	// not at all. It may be called twice.
	Restore(ctx context.Context, t *update.Task, name string) error
}

// BackupSQLite saves a SQLite database in use to a new file: by VACUUM INTO,
// an integrity check, fsync and rename, so that a copy is there whole or not
// at all. Its name is written to Task.Output.
//
// Probe looks for the run's copy. There is no Undo: the copy stays until newer
// ones push it out. A [MigrateSQL] step with the same SQLite as its Backup
// uses this copy instead of making its own.
//
// Check looks whether the database is one in a file and the folder can be written.
func BackupSQLite(s SQLite) update.Step {
	return update.Step{
		Name:  "backup",
		Check: func(ctx context.Context, _ *update.Task) error { return s.checkSave(ctx) },
		Do: func(ctx context.Context, t *update.Task) error {
			name, err := s.Save(ctx, t)
			if err != nil {
				return err
			}
			say(t, "saved the database as "+name)
			return nil
		},
		Probe: func(ctx context.Context, t *update.Task) (update.Applied, error) {
			name, err := s.name(ctx, t)
			if err != nil {
				return update.AppliedUnknown, err
			}
			switch _, err := os.Stat(filepath.Join(s.Dir, name)); {
			case err == nil:
				return update.AppliedYes, nil
			case errors.Is(err, fs.ErrNotExist):
				return update.AppliedNo, nil
			default:
				return update.AppliedUnknown, err
			}
		},
	}
}
