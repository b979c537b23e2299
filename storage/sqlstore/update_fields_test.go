package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// Of a record of update no field is forgotten: what is written comes back, with
// nothing left out but what a test names.

func TestNoFieldOfARunIsForgotten(t *testing.T) {
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	j := db.Journal()
	given := filltest.New[update.Run]()
	require.Empty(t, filltest.Zeros(given))
	given.State = update.StateRunning
	created, err := j.Create(t.Context(), given, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	read, err := j.Get(t.Context(), given.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"Request.Wait", "EndedAt"}, filltest.Zeros(read))
	given.Request.Wait = false // a wish of the call, not of the run
	require.Equal(t, given, theirs(read, given), "Create and Get")
	for run, err := range j.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		require.Equal(t, read, run, "History")
	}

	changed := filltest.New[[2]update.Run]()[1] // other values
	changed.ID, changed.Rev, changed.State = given.ID, created.Rev, update.StateFailed
	var events []update.Event
	for i := range changed.Steps {
		changed.Steps[i].Name = given.Steps[i].Name
		events = append(events, update.Event{Kind: update.EventStep, Step: changed.Steps[i].Name})
	}
	_, err = j.Save(t.Context(), changed, events...)
	require.NoError(t, err)
	changed.Package, changed.Request = given.Package, given.Request // which never change
	read, err = j.Get(t.Context(), given.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"Request.Wait"}, filltest.Zeros(read))
	require.Equal(t, changed, theirs(read, changed), "Save and Get")
}

// theirs is a run without what the engine sets, for which it has that of other.
func theirs(run, other update.Run) update.Run {
	run.Seq, run.Rev = other.Seq, other.Rev
	run.CreatedAt, run.UpdatedAt, run.EndedAt = other.CreatedAt, other.UpdatedAt, other.EndedAt
	return run
}

func TestNoFieldOfAnEventIsForgotten(t *testing.T) {
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	run := update.Run{ID: "run", Package: "p", State: update.StateRunning, Percent: 7}
	given := filltest.New[update.Event]()
	_, err = db.Journal().Create(t.Context(), run, given)
	require.NoError(t, err)
	for read, err := range db.Journal().Watch(t.Context(), 0) {
		require.NoError(t, err)
		require.Empty(t, filltest.Zeros(read))
		given.Seq, given.Time = read.Seq, read.Time // the engine's
		given.Run, given.Package, given.State, given.Percent = run.ID, run.Package, run.State, run.Percent
		require.Equal(t, given, read)
		break
	}
}
