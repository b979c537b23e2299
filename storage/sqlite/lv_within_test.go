package sqlite_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestAPublicationWithinIsDoneWithTheCallersTransactionOrNotAtAll(t *testing.T) {
	for name, commits := range map[string]bool{"commit": true, "rollback": false} {
		t.Run(name, func(t *testing.T) {
			app, db := shop(t)
			first := save(t, db.Versions(), "a", "1")
			publish(t, db.Versions(), lv.Production, "a")
			before := allEvents(t, db.Versions())

			tx, err := app.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.Exec("INSERT INTO customer VALUES ('Ada')")
			require.NoError(t, err)
			in := db.Within(tx).Versions()
			second := save(t, in, "a", "2")
			_, err = in.PutRelease(t.Context(), pages, lv.Release{
				State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", To: second.ID + 1}},
			}, by)
			require.ErrorIs(t, err, lv.ErrNotFound, "a refusal does not end the transaction")
			publish(t, in, lv.Production, "a")
			elsewhere := lv.TableID{App: "new", Schema: "new"}
			_, err = in.Write(t.Context(), elsewhere, []lv.Edit{saving("a", "1")}, by)
			require.NoError(t, err)
			require.Equal(t, map[string]lv.VersionID{"a": second.ID}, pointers(t, in, lv.View{}), "its own reads see it")
			require.Equal(t, map[string]lv.VersionID{"a": first.ID}, pointers(t, db.Versions(), lv.View{}), "nobody else does yet")

			var customers, tables int
			if commits {
				require.NoError(t, tx.Commit())
			} else {
				require.NoError(t, tx.Rollback())
			}
			require.NoError(t, app.QueryRow("SELECT count(*) FROM customer").Scan(&customers))
			require.NoError(t, app.QueryRow("SELECT count(*) FROM upkeep_lv_table").Scan(&tables))
			events := allEvents(t, db.Versions())
			if commits {
				require.Equal(t, []int{1, 2, len(before) + 2}, []int{customers, tables, len(events)})
				require.Equal(t, map[string]lv.VersionID{"a": second.ID}, pointers(t, db.Versions(), lv.View{}))
			} else {
				require.Equal(t, []int{0, 1, len(before)}, []int{customers, tables, len(events)})
				require.Equal(t, map[string]lv.VersionID{"a": first.ID}, pointers(t, db.Versions(), lv.View{}))
			}
			require.Equal(t, lv.EventReleased, events[len(events)-1].Kind)
			third := save(t, db.Versions(), "a", "3")
			require.Greater(t, third.ID, first.ID, "writing goes on")
		})
	}
}

func TestAWriteWithinThatFailsLeavesTheTransactionAsItWas(t *testing.T) {
	app, db := shop(t)
	for range db.Versions().Tables(t.Context()) { // which makes the tables
	}
	_, err := app.Exec(`CREATE TRIGGER upkeep_full BEFORE INSERT ON upkeep_lv_change
		WHEN new.release > 2 BEGIN SELECT raise(ABORT, 'full'); END`)
	require.NoError(t, err)
	tx, err := app.Begin()
	require.NoError(t, err)
	in := db.Within(tx).Versions()
	first := save(t, in, "a", "1")
	publish(t, in, lv.Production, "a")
	second := save(t, in, "a", "2")
	_, err = in.PutRelease(t.Context(), pages, publishing(lv.Production, "a"), by)
	require.ErrorContains(t, err, "full", "it fails in the middle")
	require.NoError(t, tx.Commit())
	require.Equal(t, map[string]lv.VersionID{"a": first.ID}, pointers(t, db.Versions(), lv.View{}))
	require.Equal(t, map[string]lv.VersionID{"a": second.ID}, pointers(t, db.Versions(), lv.View{Working: true}))
	requireOneOrder(t, db.Versions(), allEvents(t, db.Versions()))
}

func TestATableThatTheCallerTookBackIsMadeAgain(t *testing.T) {
	app, db := shop(t)
	tx, err := app.Begin()
	require.NoError(t, err)
	in := db.Within(tx).Versions()
	_, err = tx.Exec("SAVEPOINT mine")
	require.NoError(t, err)
	save(t, in, "a", "1")
	_, err = tx.Exec("ROLLBACK TO mine")
	require.NoError(t, err)
	second := save(t, in, "a", "2")
	require.NoError(t, tx.Commit())
	require.Equal(t, map[string]lv.VersionID{"a": second.ID}, pointers(t, db.Versions(), lv.View{Working: true}))
}

func TestRowsCannotBeWatchedWithin(t *testing.T) {
	app, db := shop(t)
	tx, err := app.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	seen := 0
	for _, err := range db.Within(tx).Versions().Watch(t.Context(), 0) {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		seen++
	}
	require.Equal(t, 1, seen)
}
