package httpadapter_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

func TestARunThatCannotBeReadSpoilsNoListOfRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := (&site{db: db}).open(t)
	var ids []string
	for _, version := range []string{"1.0.0", "1.1.0"} {
		run, err := s.updater.Update(t.Context(), update.Request{Package: pkg, Version: version})
		require.NoError(t, err)
		ids = append(ids, run.ID)
	}
	spoil(t, path, `UPDATE upkeep_update_run SET detail = '{' WHERE id = ?`, []byte(ids[0]))
	spoil(t, path, `UPDATE upkeep_update_event SET record = '{' WHERE run = ?`, []byte(ids[0]))
	runs := s.get("/upkeep/v1/updates/runs").good(t)["runs"].([]any)
	require.Len(t, runs, 2)
	require.Equal(t, []any{ids[1], "succeeded"}, []any{at(t, runs, 0, "id"), at(t, runs, 0, "state")})
	require.Equal(t, []any{ids[0], pkg, "", "the record is damaged"},
		[]any{at(t, runs, 1, "id"), at(t, runs, 1, "package"), at(t, runs, 1, "state"), at(t, runs, 1, "reason")})
	require.Equal(t, "internal", s.get("/upkeep/v1/updates/runs/"+ids[0]).problem(t))
	require.Contains(t, s.log.String(), `storage: damaged`)
	require.Contains(t, s.log.String(), ids[0])
	require.Equal(t, 200, s.get("/upkeep/v1/updates/runs/"+ids[1]).StatusCode)
	progress := s.send("GET", "/api/v1/update/progress?package="+pkg+"&api_token="+admin, "")
	require.NotContains(t, progress.text, "panic")
	require.NotContains(t, s.log.String(), "panic")
}
