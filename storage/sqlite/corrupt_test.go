package sqlite_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// leftRun leaves a run of a package whose process has died.
func leftRun(t *testing.T, db *sqlite.DB, pkg string) {
	run := update.Run{
		ID: "run of " + pkg, Package: pkg, Item: "lock of " + pkg, Version: "1.0.0", State: update.StateRunning, Token: 1,
		Steps:   []update.StepRecord{{Name: "install", Phase: update.PhaseTodo}},
		Request: update.Request{Package: pkg},
	}
	_, err := db.Journal().Create(t.Context(), run, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
}

func TestARunThatCannotBeReadStopsItsOwnPackageAlone(t *testing.T) {
	for _, statement := range []string{
		`UPDATE upkeep_update_run SET detail = '{' WHERE id = ?`, `UPDATE upkeep_update_run SET detail = '[]' WHERE id = ?`,
		`UPDATE upkeep_update_run SET request = 'x' WHERE id = ?`, `UPDATE upkeep_update_run SET request = '' WHERE id = ?`,
		`UPDATE upkeep_update_step SET record = '{"name":1}' WHERE run = (SELECT n FROM upkeep_update_run WHERE id = ?)`,
	} {
		t.Run(statement, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			db := open(t, sqlite.Config{Path: path})
			install := update.Step{Name: "install", Do: func(context.Context, *update.Task) error { return nil }}
			var packages []update.Package
			for _, name := range []string{"a", "b", "c"} {
				packages = append(packages, update.Package{
					Name: name, Lock: "lock of " + name, Source: source.Static("1.0.0", "2.0.0"), Steps: []update.Step{install},
				})
				leftRun(t, db, name)
			}
			damage(t, path, statement, []byte("run of b"))
			u, err := update.New(update.Config{Store: db, Packages: packages, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			defer u.Close()
			ctx, cancel := context.WithTimeout(t.Context(), proctest.Hangs)
			defer cancel()
			err = u.Recover(ctx)
			require.ErrorIs(t, err, update.ErrCorrupt)
			require.ErrorContains(t, err, `run "run of b"`)
			for _, name := range []string{"a", "c"} {
				run, err := u.Get(ctx, "run of "+name)
				require.NoError(t, err)
				require.Equal(t, update.StateSucceeded, run.State, "the others are recovered")
				run, err = u.Update(ctx, update.Request{Package: name})
				require.NoError(t, err)
				require.Equal(t, "2.0.0", run.Version)
			}
			_, err = u.Update(ctx, update.Request{Package: "b"})
			require.ErrorIs(t, err, update.ErrCorrupt, "nobody knows what is half done there")
		})
	}
}
