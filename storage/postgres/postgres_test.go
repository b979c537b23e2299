//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
)

func open(t testing.TB, c postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// run returns a run of two steps that can be created, and its events.
func run(id string) (update.Run, []update.Event) {
	return update.Run{
			ID: id, Package: "demo/site", Item: "core", Token: 1, State: update.StateRunning,
			Steps: []update.StepRecord{{Name: "backup", Phase: update.PhaseTodo}, {Name: "publish", Phase: update.PhaseTodo}},
		}, []update.Event{
			{Kind: update.EventStarted}, {Kind: update.EventLog, Message: strings.Repeat("x", 1000)},
		}
}

func create(ctx context.Context, j update.Journal, id string) error {
	r, events := run(id)
	_, err := j.Create(ctx, r, events...)
	return err
}

// requireWholeOrAbsent checks that there is all of a run or nothing of it.
func requireWholeOrAbsent(t *testing.T, j update.Journal, ids []string) (present int) {
	t.Helper()
	events := map[string]int{}
	for e := range written(t, j) {
		events[e.Run]++
	}
	for _, id := range ids {
		r, err := j.Get(t.Context(), id)
		if err != nil {
			require.ErrorIs(t, err, update.ErrNotFound)
			require.Zero(t, events[id], "events of a run that is not there")
			continue
		}
		present++
		require.Len(t, r.Steps, 2)
		require.Equal(t, 2, events[id])
	}
	return present
}

// written yields the events there are, and checks that none is missing.
func written(t *testing.T, j update.Journal) func(func(update.Event) bool) {
	return func(yield func(update.Event) bool) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		last, _ := run("last")
		last.ID = fmt.Sprintf("last-%d", time.Now().UnixNano())
		_, err := j.Create(ctx, last, update.Event{Kind: update.EventEnded})
		require.NoError(t, err)
		seq := int64(0)
		for e, err := range j.Watch(ctx, 0) {
			require.NoError(t, err)
			require.Equal(t, seq+1, e.Seq)
			seq = e.Seq
			if e.Run == last.ID || !yield(e) {
				return
			}
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for name, url := range map[string]string{
		"nothing named":   "",
		"not a URL":       "postgres://u:s3cret@h:s3cret/db?sslmode=s3cret",
		"half a URL":      "postgres://u:s3cret%zz@h/db",
		"no server":       "postgres:///db?host=/nowhere&user=u&password=s3cret",
		"no database":     strings.Replace(shared.url(""), "/postgres?", "/none?password=s3cret&", 1),
		"no user":         strings.Replace(shared.url(""), "user=upkeep", "user=nobody&password=s3cret", 1),
		"no schema":       shared.url("no_such_schema") + "&password=s3cret",
		"unknown setting": shared.url("") + "&password=s3cret&no_such_setting=1",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := postgres.Open(t.Context(), postgres.Config{URL: url})
			require.ErrorContains(t, err, "postgres")
			require.NotContains(t, err.Error(), "s3cret")
			require.Less(t, time.Since(began), 8*time.Second, "an error that stays was tried again")
		})
	}
}

func TestSchemasOfOneDatabaseAreApart(t *testing.T) {
	one := open(t, postgres.Config{URL: shared.url(shared.newSchema(t))})
	two := open(t, postgres.Config{URL: shared.url(shared.newSchema(t))})
	_, err := one.Locker().Acquire(t.Context(), "core", "one", time.Hour)
	require.NoError(t, err)
	_, err = two.Locker().Acquire(t.Context(), "core", "two", time.Hour)
	require.NoError(t, err)
}

func TestCloseEndsWhatWaitsAndEveryConnection(t *testing.T) {
	url := shared.url(shared.newSchema(t)) + "&application_name=closing"
	db := open(t, postgres.Config{URL: url})
	require.NoError(t, create(t.Context(), db.Journal(), "a"))

	var watching sync.WaitGroup
	seen := make(chan error, 10)
	watching.Go(func() {
		for _, err := range db.Journal().Watch(context.Background(), 0) {
			seen <- err
		}
	})
	require.NoError(t, <-seen)
	require.NoError(t, <-seen)
	eventually(t, func() bool { return listeners(t, "closing") == 1 }, "nobody listens")

	require.NoError(t, db.Close())
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "postgres.(*hints)", "a goroutine is left")
	watching.Wait()
	require.ErrorIs(t, <-seen, storage.ErrClosed)
	require.NoError(t, db.Close())
	require.ErrorIs(t, create(t.Context(), db.Journal(), "b"), storage.ErrClosed)
	_, err := db.Locker().Acquire(t.Context(), "core", "me", time.Minute)
	require.ErrorIs(t, err, storage.ErrClosed)
	eventually(t, func() bool { return sessions(t, "closing") == 0 }, "connections are left")
}

func TestNobodyListensForLongAfterTheLastHasLeft(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{URL: shared.url(shared.newSchema(t)) + "&application_name=leaving"})
	ctx, leave := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	for range 3 {
		watching.Go(func() {
			for range db.Journal().Watch(ctx, 0) {
			}
		})
	}
	eventually(t, func() bool { return listeners(t, "leaving") > 0 }, "nobody listens")
	require.Equal(t, 1, listeners(t, "leaving"), "one connection serves all")
	leave()
	watching.Wait()
	eventually(t, func() bool { return listeners(t, "leaving") == 0 }, "somebody still listens")
}

func TestUseLeavesThePoolOpen(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), shared.url(shared.newSchema(t)))
	require.NoError(t, err)
	defer pool.Close()
	db, err := postgres.Use(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	require.NoError(t, create(t.Context(), db.Journal(), "a"))
	require.NoError(t, db.Close())
	require.ErrorIs(t, create(t.Context(), db.Journal(), "b"), storage.ErrClosed)

	var tables int
	const ours = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE 'upkeep\\_%'"
	require.NoError(t, pool.QueryRow(t.Context(), ours).Scan(&tables))
	require.Zero(t, tables, "tables without the prefix")
}

// listeners counts the connections that LISTEN, and sessions all of them.
func listeners(t testing.TB, application string) int {
	return count(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN %'", application)
}

func sessions(t testing.TB, application string) int {
	return count(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", application)
}

func count(t testing.TB, sql string, args ...any) (n int) {
	c, err := pgx.Connect(context.Background(), shared.url(""))
	require.NoError(t, err)
	defer c.Close(context.Background())
	require.NoError(t, c.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// eventually waits for something that the server does.
func eventually(t testing.TB, done func() bool, otherwise string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		require.True(t, time.Now().Before(deadline), otherwise)
		time.Sleep(10 * time.Millisecond)
	}
}
