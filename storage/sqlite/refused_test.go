package sqlite_test

import (
	"context"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// TestCallersOfADomainLearnWhyTheEngineRefuses asks the services, not the
// stores. A writer may have no page more, may not write, or waits in vain.
func TestCallersOfADomainLearnWhyTheEngineRefuses(t *testing.T) {
	for want, refuse := range map[error]func(t *testing.T, db *sqlite.DB, path string){
		storage.ErrFull: func(t *testing.T, db *sqlite.DB, _ string) {
			pragma(t, db, "PRAGMA max_page_count = 1")
		},
		storage.ErrReadOnly: func(t *testing.T, db *sqlite.DB, _ string) { pragma(t, db, "PRAGMA query_only = 1") },
		storage.ErrBusy:     func(t *testing.T, _ *sqlite.DB, path string) { t.Cleanup(hog(t, path)) },
	} {
		t.Run(want.Error(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			db := open(t, sqlite.Config{Path: path, BusyTimeout: 10 * time.Millisecond, Relaxed: true})
			rows, err := lv.New(lv.Config{Store: db})
			require.NoError(t, err)
			defer rows.Close()
			table := rows.Table("demo", "pages")
			_, err = table.Save(t.Context(), "here", page("here"), by)
			require.NoError(t, err)
			u, err := update.New(update.Config{Store: db, Packages: []update.Package{{
				Name: "demo/site", Source: nextVersion{}, Steps: []update.Step{{Name: "publish", Do: func(context.Context, *update.Task) error { return nil }}},
			}}})
			require.NoError(t, err)
			defer u.Close()
			refuse(t, db, path)

			_, err = table.Save(t.Context(), "new", page(strings.Repeat("x", 1<<16)), by)
			require.ErrorIs(t, err, want)
			_, err = table.Publish(t.Context(), lv.Production, by, "here")
			if want != storage.ErrFull { // what is short may find room
				require.ErrorIs(t, err, want)
			}
			_, err = u.Start(t.Context(), update.Request{Package: "demo/site"})
			require.ErrorIs(t, err, want)
			for _, err := range table.Rows(t.Context(), lv.View{Working: true}) {
				require.NoError(t, err, "reads go on")
			}
		})
	}
}

// nextVersion is a Source of one version.
type nextVersion struct{}

func (nextVersion) Versions(context.Context, string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) { yield(update.Release{Version: "1.1.0"}, nil) }
}

func pragma(t *testing.T, db *sqlite.DB, statement string) {
	require.NoError(t, db.Write(t.Context(), func(tx sqlstore.Tx) error { return tx.Exec(statement) }))
}
