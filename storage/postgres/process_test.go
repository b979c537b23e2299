//go:build unix

package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// newChild prepares a child process that does a part of a test on a database.
func newChild(part, url string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, "UPKEEP_TEST_CHILD="+part, "UPKEEP_TEST_URL="+url)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// child does its part and returns its exit code.
func child(part string) int {
	if part == "sql" {
		return childRunsSQL()
	}
	db, err := postgres.Open(context.Background(), postgres.Config{URL: os.Getenv("UPKEEP_TEST_URL"), MaxConns: 2})
	if err == nil {
		switch part {
		case "migrate":
			err = childMigrates(db)
		case "update":
			err = childUpdates(db)
		case "write":
			err = childWrites(db)
		case "publish":
			err = childPublishes(db)
		case "follow":
			err = childFollows(db)
		}
		db.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, part, err)
		return 1
	}
	return 0
}

// childMigrates uses all stores at once.
func childMigrates(db *postgres.DB) error {
	ctx := context.Background()
	errs := make(chan error, 6)
	go func() {
		_, err := db.Locker().Acquire(ctx, fmt.Sprint(os.Getpid()), "me", time.Hour)
		errs <- err
	}()
	go func() { errs <- create(ctx, db.Journal(), fmt.Sprint(os.Getpid())) }()
	go func() {
		edit := lv.Edit{Op: lv.OpSave, Row: "a", Content: []byte(`{}`)}
		_, err := db.Versions().Write(ctx, lv.TableID{App: "demo"}, []lv.Edit{edit}, lv.By{})
		errs <- err
	}()
	go func() {
		_, err := db.Firmware("demo").Save(ctx, firmware.Record{})
		if errors.Is(err, firmware.ErrStale) { // another one was first
			err = nil
		}
		errs <- err
	}()
	go func() {
		_, err := db.Rollouts().Save(ctx, rollout.Transition{Service: &rollout.Service{ID: rollout.ServiceID{Name: "demo"}}})
		if errors.Is(err, rollout.ErrStale) { // here too
			err = nil
		}
		errs <- err
	}()
	go func() {
		name := fmt.Sprint(os.Getpid())
		held, err := db.Locker().Acquire(ctx, "sync:"+name, "me", time.Hour)
		if err == nil {
			_, err = db.SyncState(name).Update(ctx, held.Token, []cloudsync.Entry{{Key: "a"}})
		}
		errs <- err
	}()
	return errors.Join(<-errs, <-errs, <-errs, <-errs, <-errs, <-errs)
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	schema := shared.newSchema(t)
	var work sync.WaitGroup
	for range 10 {
		cmd := newChild("migrate", shared.url(schema))
		require.NoError(t, cmd.Start())
		work.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	files, err := fs.Glob(sqlstore.Migrations(), "*/*.sql")
	require.NoError(t, err)
	require.Equal(t, len(files), count(t, "SELECT count(*) FROM "+schema+".upkeep_schema"))
	require.NoError(t, create(t.Context(), open(t, postgres.Config{URL: shared.url(schema)}).Journal(), "a"))
}

// site is a package of three steps, which leave a line each in a file.
func site(file string, publish func(ctx context.Context) error) update.Package {
	line := func(text string) func(context.Context, *update.Task) error {
		return func(context.Context, *update.Task) error {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = fmt.Fprintln(f, text)
			return err
		}
	}
	return update.Package{
		Name: "demo/site", Source: source.Static("1.0.0"),
		Steps: []update.Step{
			{Name: "backup", Do: line("backup"), Undo: line("undo backup")},
			{Name: "publish", Do: func(ctx context.Context, _ *update.Task) error { return publish(ctx) }},
			{Name: "health", Do: line("health")},
		},
	}
}

// childUpdates gets as far as the second step and waits to be killed.
func childUpdates(db *postgres.DB) error {
	u, err := update.New(update.Config{
		Store: db, LockTTL: time.Second,
		Packages: []update.Package{site(os.Getenv("UPKEEP_TEST_FILE"), func(ctx context.Context) error {
			fmt.Println("publishing")
			<-ctx.Done()
			return ctx.Err()
		})},
	})
	if err != nil {
		return err
	}
	_, err = u.Update(context.Background(), update.Request{Package: "demo/site"})
	return err
}

func TestAnotherProcessFinishesTheUpdateOfAKilledOne(t *testing.T) {
	t.Parallel()
	url := shared.url(shared.newSchema(t))
	file := filepath.Join(t.TempDir(), "lines")
	cmd := newChild("update", url, "UPKEEP_TEST_FILE="+file)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()

	db := open(t, postgres.Config{URL: url})
	u, err := update.New(update.Config{
		Store: db, LockTTL: time.Second,
		Packages: []update.Package{site(file, func(context.Context) error { return nil })},
	})
	require.NoError(t, err)
	defer u.Close()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	var recovering sync.WaitGroup
	recovering.Go(func() { u.Run(ctx) })
	var kinds []update.EventKind
	for e, err := range u.Watch(ctx, 0) {
		require.NoError(t, err)
		kinds = append(kinds, e.Kind)
		if e.Kind == update.EventEnded {
			require.Equal(t, update.StateSucceeded, e.State)
			break
		}
	}
	stop()
	recovering.Wait()
	require.Equal(t, update.EventStarted, kinds[0])
	require.Contains(t, kinds, update.EventRecovered)
	lines, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "backup\nhealth\n", string(lines))
}

// childWrites writes as many runs as it is told.
func childWrites(db *postgres.DB) error {
	for i := range 100 {
		if err := create(context.Background(), db.Journal(), fmt.Sprintf("run-%d-%d", os.Getpid(), i)); err != nil {
			return err
		}
	}
	return nil
}

func TestWatchMissesNothingOfOtherProcessesWhileListeningIsBroken(t *testing.T) {
	url := shared.url(shared.newSchema(t))
	db := open(t, postgres.Config{URL: url + "&application_name=watching"})
	var children sync.WaitGroup
	for range 3 {
		cmd := newChild("write", url)
		require.NoError(t, cmd.Start())
		children.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	defer children.Wait()

	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	seq := int64(0)
	for e, err := range db.Journal().Watch(ctx, 0) {
		require.NoError(t, err)
		require.Equal(t, seq+1, e.Seq)
		if seq = e.Seq; seq == 3*100*2 {
			break
		}
		if seq%20 == 0 {
			shared.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = 'watching' AND query LIKE 'LISTEN %'`)
		}
	}
}

func TestListeningHearsOfACommitBeforePollingDoes(t *testing.T) {
	t.Parallel()
	url := shared.url(shared.newSchema(t))
	listening := open(t, postgres.Config{URL: url + "&application_name=hearing"})
	polling := open(t, postgres.Config{URL: url + "&default_query_exec_mode=exec"})
	other := open(t, postgres.Config{URL: url})

	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	heard := make(chan string)
	for name, db := range map[string]*postgres.DB{"listening": listening, "polling": polling} {
		watching.Go(func() {
			for range db.Journal().Watch(ctx, 0) {
				select {
				case heard <- name:
				case <-ctx.Done():
				}
			}
		})
	}
	eventually(t, func() bool { return listeners(t, "hearing") == 1 }, "nobody listens")
	first := map[string]int{}
	began := time.Now()
	for i := range 10 {
		r, _ := run(fmt.Sprint(i))
		_, err := other.Journal().Create(t.Context(), r, update.Event{Kind: update.EventStarted})
		require.NoError(t, err)
		first[<-heard]++
		<-heard
	}
	stop()
	watching.Wait()
	require.Greater(t, first["listening"], 7, "%v", first)
	require.Less(t, time.Since(began), 15*time.Second, "polling takes a quarter of a second")
}
