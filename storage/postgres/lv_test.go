//go:build unix

package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

func TestAPublicationWithinIsPartOfTheCallersTransaction(t *testing.T) {
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprintf("commits: %v", commits), func(t *testing.T) {
			ctx := t.Context()
			pool, db := application(t)
			first := save(t, db.Versions(), "1", "a")[0].ID
			_, err := publish(ctx, db.Versions(), "a", first)
			require.NoError(t, err)
			before := len(events(t, db.Versions()))
			second := first + 1
			refused := errors.New("refused")
			err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				within := db.Within(tx).Versions()
				_, err := tx.Exec(ctx, "INSERT INTO page VALUES ('home')")
				require.NoError(t, err)
				require.Equal(t, second, save(t, within, "2", "a")[0].ID)
				_, err = publish(ctx, within, "a", second+1)
				require.ErrorIs(t, err, lv.ErrNotFound, "a refusal does not end the transaction")
				_, err = publish(ctx, within, "a", second)
				require.NoError(t, err)
				require.Equal(t, map[string]lv.VersionID{"a": second}, pointers(t, within, lv.View{}), "its own reads see it")
				require.Equal(t, map[string]lv.VersionID{"a": first}, pointers(t, db.Versions(), lv.View{}), "nobody else does yet")
				if commits {
					return nil
				}
				return refused
			})
			written := 0
			require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM page").Scan(&written))
			if commits {
				require.NoError(t, err)
				require.Equal(t, []int{1, before + 2}, []int{written, len(events(t, db.Versions()))})
				require.Equal(t, map[string]lv.VersionID{"a": second}, pointers(t, db.Versions(), lv.View{}))
			} else {
				require.ErrorIs(t, err, refused)
				require.Equal(t, []int{0, before}, []int{written, len(events(t, db.Versions()))})
				require.Equal(t, map[string]lv.VersionID{"a": first}, pointers(t, db.Versions(), lv.View{}))
			}
		})
	}
}

// TestAPublicationHappensWholeOrNotAtAll has every statement of a save and of
// a publication fail, by themselves and within a transaction.
func TestAPublicationHappensWholeOrNotAtAll(t *testing.T) {
	errInjected := errors.New("injected")
	db := open(t, postgres.Config{URL: shared.url(shared.newSchema(t))})
	v := save(t, db.Versions(), "1", "a", "b")
	_, err := publish(t.Context(), db.Versions(), "a", v[0].ID)
	require.NoError(t, err)
	for name, write := range map[string]func(s lv.VersionStore) error{
		"a save": func(s lv.VersionStore) error {
			edits := []lv.Edit{{Op: lv.OpSave, Row: "a", Content: page("2")}, {Op: lv.OpSave, Row: "c", Content: page("1")}}
			_, err := s.Write(t.Context(), pages, edits, lv.By{Actor: "ann", RequestID: "save"})
			return err
		},
		"a publication": func(s lv.VersionStore) error {
			r := lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "b", Working: true}, {Row: "a", Working: true}}}
			_, err := s.PutRelease(t.Context(), pages, r, lv.By{Actor: "ann", RequestID: "publish"})
			return err
		},
	} {
		before := events(t, db.Versions())
		for n := 1; ; n++ {
			f := &spy{DB: db.Engine(), before: func(i int) error {
				if i == n {
					return errInjected
				}
				return nil
			}}
			err := write(sqlstore.NewVersions(f, storage.Retention{}))
			if len(f.statements) < n {
				require.NoError(t, err)
				require.Greater(t, n, 5)
				break
			}
			require.ErrorIs(t, err, errInjected)
			require.Equal(t, before, events(t, db.Versions()), "%s: failing at statement %d, it leaves nothing", name, n)
			requireOneOrder(t, db.Versions(), before)
		}
		require.Len(t, events(t, db.Versions()), len(before)+1, name)
	}
}

// childPublishes saves and publishes rows by several goroutines until it is
// killed or has done as many as it is told, and says so of each.
func childPublishes(db *postgres.DB) error {
	var work sync.WaitGroup
	var out sync.Mutex
	var failed error
	for p := range 4 {
		work.Go(func() {
			for i := range 25 {
				row := fmt.Sprint("row ", i%3)
				versions, err := db.Versions().Write(context.Background(), pages,
					[]lv.Edit{{Op: lv.OpSave, Row: row, Content: page(fmt.Sprint(os.Getpid(), p, i))}}, by)
				var r lv.Release
				if err == nil {
					r, err = publish(context.Background(), db.Versions(), row, versions[0].ID)
				}
				out.Lock()
				if err != nil {
					failed = err
				} else {
					fmt.Printf("%d %d.\n", r.Seq, r.Changes[0].To)
				}
				out.Unlock()
			}
		})
	}
	work.Wait()
	return failed
}

func TestProcessesPublishInOneOrderThoughOneIsKilled(t *testing.T) {
	t.Parallel()
	url := shared.url(shared.newSchema(t))
	var acknowledged []string
	var mu sync.Mutex
	var readers sync.WaitGroup
	for n := range 3 {
		cmd := newChild("publish", url)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		readers.Go(func() {
			lines := 0
			for s := bufio.NewScanner(out); s.Scan(); lines++ {
				mu.Lock()
				acknowledged = append(acknowledged, s.Text())
				mu.Unlock()
				if n == 0 && lines == 10 {
					_ = cmd.Process.Kill()
				}
			}
			if err := cmd.Wait(); err != nil && n > 0 {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	db := open(t, postgres.Config{URL: url})
	all := events(t, db.Versions())
	requireOneOrder(t, db.Versions(), all)
	require.GreaterOrEqual(t, len(acknowledged), 200)
	for _, line := range acknowledged {
		var seq, to int64
		if !strings.HasSuffix(line, ".") {
			continue // killed while it was written
		}
		_, err := fmt.Sscanf(line, "%d %d.", &seq, &to)
		require.NoError(t, err)
		require.EqualValues(t, to, all[seq-1].Rows[0].To, "event %d was acknowledged", seq)
	}
}

// TestStatementsUseIndexes looks at the plans of the statements.
func TestStatementsUseIndexes(t *testing.T) {
	url := shared.url(shared.newSchema(t))
	db := open(t, postgres.Config{URL: url})
	s := &spy{DB: db.Engine()}
	store := sqlstore.NewVersions(s, storage.Retention{})
	var rows []string
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf("row %04d", i))
	}
	for _, title := range []string{"1", "2"} {
		var changes []lv.Change
		for _, v := range save(t, store, title, rows...) {
			changes = append(changes, lv.Change{Row: v.Row, To: v.ID})
		}
		_, err := store.PutRelease(t.Context(), pages, lv.Release{State: lv.ReleaseApplied, Changes: changes}, by)
		require.NoError(t, err)
	}
	for i := range 100 {
		v := save(t, store, fmt.Sprint("later ", i), rows[i])
		_, err := publish(t.Context(), store, rows[i], v[0].ID)
		require.NoError(t, err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `INSERT INTO upkeep_lv_strategy (id, tbl, target, priority, deleted, rev, seq, record)
		SELECT 1000000 + id, tbl, id, 1, 0, 1, 1, '{}' FROM upkeep_lv_version WHERE id > 2`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)

	s.statements = nil
	save(t, store, "last", rows[0])
	release, err := publish(t.Context(), store, rows[1], 1+1)
	require.NoError(t, err)
	first := func(v lv.View) {
		for _, err := range store.Rows(t.Context(), pages, v) {
			require.NoError(t, err)
			break
		}
	}
	first(lv.View{})
	first(lv.View{Working: true, Status: lv.StatusChanged})
	first(lv.View{AsOf: release.Seq - 10})
	first(lv.View{AsOf: release.Seq - 10, Working: true})
	for range store.Versions(t.Context(), pages, lv.Query{Row: rows[0]}) {
		break
	}
	for range store.Releases(t.Context(), pages, lv.Query{Row: rows[0]}) {
		break
	}
	for range store.Watch(t.Context(), release.Seq-1) {
		break
	}
	save(t, store, "1", "unpublished")
	_, err = store.Write(t.Context(), pages, []lv.Edit{{Op: lv.OpDelete, Row: "unpublished"}}, by)
	require.NoError(t, err)
	judged := 0
	for _, query := range s.statements {
		if strings.HasPrefix(strings.TrimSpace(query), "SELECT pg_advisory") {
			continue
		}
		plan := genericPlan(t, conn, query)
		require.NotRegexp(t, `Seq Scan on upkeep_lv_(row|version|change|event|release|strategy)`, plan, query)
		if strings.Contains(query, "state IN (3, 4)") {
			judged++
			require.Regexp(t, `using upkeep_lv_strategy_target on .*\n *Index Cond: \(target = o.id\)`, plan,
				"whether a strategy shows a deletion costs the versions of the row alone")
		}
	}
	require.Positive(t, judged)
}

// genericPlan returns how the server would run a statement with any
// parameters.
func genericPlan(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	query = strings.ReplaceAll(query, "?", "$")
	// A sequential scan that is left has no index instead.
	_, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
	require.NoError(t, err)
	_, err = conn.Prepare(t.Context(), "plan", query)
	require.NoError(t, err, query)
	defer conn.Deallocate(context.Background(), "plan")
	description, err := conn.Prepare(t.Context(), "plan", query)
	require.NoError(t, err)
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(description.ParamOIDs)), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE plan "+nulls, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}
