package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

var web = rollout.ServiceID{Env: "prod", Name: "web"}

// rolloutQueries are one of each kind.
var rolloutQueries = []rollout.Query{
	{}, {Service: web}, {Live: true}, {Service: web, Live: true}, {State: rollout.StateRolledBack}, {State: rollout.StatePaused},
	{Service: web, State: rollout.StateRolledBack}, {Service: web, State: rollout.StatePaused}, {RequestID: "request"},
	{Service: web, RequestID: "request"}, {After: "run"}, {Service: web, After: "run"}, {After: "none"},
}

func TestNoStatementOfRolloutsReadsAWholeTable(t *testing.T) {
	t.Parallel()
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	_, err := db.Rollouts().Get(t.Context(), "none") // makes the tables
	require.ErrorIs(t, err, rollout.ErrNotFound)
	spy := &spy{DB: db.Engine()}
	s := sqlstore.NewRollouts(spy, storage.Retention{Events: 5})
	r := rollout.Run{ID: "run", Service: web, State: rollout.StateAccepted, Token: 1}
	r.Request.By.RequestID = "request"
	w, err := s.Create(t.Context(), rollout.Transition{Run: &r})
	require.NoError(t, err)
	w.Service = &rollout.Service{ID: web, Token: 1}
	for range 20 {
		w.Events = []rollout.Event{{Kind: rollout.EventProgress, Run: "run"}}
		w, err = s.Save(t.Context(), w)
		require.NoError(t, err)
	}
	_, err = s.Create(t.Context(), w)
	require.ErrorIs(t, err, rollout.ErrExists)
	_, err = s.Create(t.Context(), rollout.Transition{Run: &rollout.Run{ID: "2", Service: web}})
	require.ErrorIs(t, err, rollout.ErrBusy)
	_, err = s.Service(t.Context(), web)
	require.NoError(t, err)
	for _, q := range rolloutQueries {
		for _, err := range s.History(t.Context(), q) {
			require.True(t, err == nil || errors.Is(err, rollout.ErrNotFound))
		}
	}
	for _, q := range []rollout.ServiceQuery{{Env: "prod"}, {Env: "prod", After: web}, {After: web}} {
		for _, err := range s.Services(t.Context(), q) {
			require.NoError(t, err)
		}
	}
	for range s.Watch(t.Context(), 18) {
		break
	}
	seen := spy.seen()
	require.Contains(t, strings.Join(seen, "\n"), "DELETE FROM upkeep_rollout_event")
	var used []string
	for _, query := range seen {
		for _, step := range plan(t, db, query) {
			require.False(t, strings.HasPrefix(step, "SCAN") && step != "SCAN CONSTANT ROW", "%s\n%s", step, query)
			if !strings.Contains(query, "request_id") { // of which there are few
				require.NotContains(t, step, "TEMP B-TREE", query)
			}
			used = append(used, step+" ")
		}
	}
	for _, index := range []string{"live", "request", "service", "lives", "done", "done_of"} {
		require.Contains(t, strings.Join(used, "\n"), " upkeep_rollout_run_"+index+" ", "an index that nothing uses")
	}
}

// TestALongHistoryOfRolloutsIsNoSlower lists a few of very many runs, which a
// list that went through all of them would take many times longer for.
func TestALongHistoryOfRolloutsIsNoSlower(t *testing.T) {
	t.Parallel()
	few, many := 100, 20_000
	if os.Getenv("UPKEEP_FULL") != "" {
		many = 200_000
	}
	var took [2]time.Duration
	for i, runs := range []int{few, many} {
		path := filepath.Join(t.TempDir(), "state.db")
		db := open(t, sqlite.Config{Path: path, Relaxed: true})
		r := rollout.Run{ID: "first", Service: web, State: rollout.StateRolledBack}
		r.Request.By.RequestID = "request"
		_, err := db.Rollouts().Create(t.Context(), rollout.Transition{Run: &r})
		require.NoError(t, err)
		damage(t, path, `WITH RECURSIVE k(n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM k WHERE n < ?)
INSERT INTO upkeep_rollout_run SELECT k.n, CAST('run ' || k.n AS BLOB), env, name, NULL, CAST('succeeded' AS BLOB), live, token, rev, seq,
	created_ms, updated_ms, ended_ms, request, detail FROM k, upkeep_rollout_run WHERE id = CAST('first' AS BLOB)`, runs)
		var all []time.Duration
		for range 20 {
			began := time.Now()
			for _, q := range rolloutQueries[:10] {
				n := 0
				for run, err := range db.Rollouts().History(t.Context(), q) {
					require.NoError(t, err)
					if n++; n == 20 {
						break
					}
					if q.RequestID != "" || q.State == rollout.StateRolledBack {
						require.Equal(t, "first", run.ID)
					}
				}
			}
			all = append(all, time.Since(began))
		}
		took[i] = slices.Min(all)
		var ids []string
		for run, err := range db.Rollouts().History(t.Context(), rollout.Query{After: "run 50"}) {
			require.NoError(t, err)
			if ids = append(ids, run.ID); len(ids) == 2 {
				break
			}
		}
		require.Equal(t, []string{"run 49", "run 48"}, ids)
	}
	t.Log(fmt.Sprint("with ", few, " runs ", took[0], ", with ", many, " ", took[1]))
	require.Less(t, took[1], 4*took[0])
}
