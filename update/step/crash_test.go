//go:build unix

package step_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// world is a site in a folder that every ready-made step has a part in, and
// what updates it.
type world struct {
	*update.Updater
	state *sqlite.DB
	site  *sql.DB
	steps []update.Step
}

// openWorld opens what is in dir. around may change the steps.
func openWorld(dir, address string, around func(update.Step) update.Step) (*world, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	db, err := sql.Open("sqlite", dsn(path("site.db"), "journal_mode(WAL)", "busy_timeout(180000)"))
	if err != nil {
		return nil, err
	}
	state, err := sqlite.Open(sqlite.Config{Path: path("upkeep.db"), BusyTimeout: hangs})
	if err != nil {
		return nil, err
	}
	backup := step.SQLite{DB: db, Dir: path("copies")}
	note := func(text string) []string { return []string{"sh", "-c", `echo "$1" >> log`, "sh", text} }
	on, off := step.Maintenance(path("maintenance.json"))
	w := &world{state: state, site: db, steps: []update.Step{
		on,
		step.BackupSQLite(backup),
		step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(world1, "{version}/sql"), Backup: backup}),
		step.PublishFiles(step.Publish{Files: step.Sub(world1, "{version}/pages"), Dir: path("public"), Keep: []string{"uploads"}}),
		step.ClearDir(path("cache")),
		step.Named("note", step.Command(step.Exec{Args: note("done {version}"), Undo: note("undone {version}"), Dir: dir})),
		step.HTTPHealth(step.Health{URL: address, Contains: "{version}", Attempts: 1, Timeout: hangs}),
		off,
	}}
	for i := range w.steps {
		w.steps[i] = around(w.steps[i])
	}
	w.Updater, err = update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: source.Static("1.0.0", "1.1.0", "1.2.0-rc.1"), Steps: w.steps},
	}})
	return w, err
}

func (w *world) close() {
	_ = w.Updater.Close()
	_ = w.state.Close()
	_ = w.site.Close()
}

func asIs(s update.Step) update.Step { return s }

// world1 has releases whose page says the version, but for the last one's.
var world1 = files(map[string]string{
	"1.0.0/pages/index.html":          "site 1.0.0",
	"1.1.0/pages/index.html":          "site 1.1.0",
	"1.1.0/pages/more/new.html":       "more",
	"1.2.0-rc.1/pages/index.html":     "broken",
	"1.2.0-rc.1/pages/other/new.html": "more",
	"1.0.0/sql/0001_count.sql":        "CREATE TABLE counted (n INTEGER); INSERT INTO counted VALUES (1);",
	"1.1.0/sql/0001_count.sql":        "CREATE TABLE counted (n INTEGER); INSERT INTO counted VALUES (1);",
	"1.1.0/sql/0002_more.sql":         "INSERT INTO counted VALUES (2);",
	"1.1.0/sql/0003_more.sql":         "INSERT INTO counted VALUES (3); CREATE TABLE later (n);",
	"1.2.0-rc.1/sql/0001_count.sql":   "CREATE TABLE counted (n INTEGER); INSERT INTO counted VALUES (1);",
	"1.2.0-rc.1/sql/0002_more.sql":    "INSERT INTO counted VALUES (2);",
	"1.2.0-rc.1/sql/0003_more.sql":    "INSERT INTO counted VALUES (3); CREATE TABLE later (n);",
})

func init() {
	// update brings the world in a folder to a version, or recovers it, and
	// kills itself when a step gets to a point such as "migrate do after".
	children["update"] = func(args []string) {
		dir, address, version, point := args[0], args[1], args[2], args[3]
		w, err := openWorld(dir, address, func(s update.Step) update.Step { return mortal(s, point) })
		if err != nil {
			panic(err)
		}
		defer w.close()
		fmt.Println("ready")
		_, _ = w.Update(context.Background(), update.Request{Package: "demo/site", Version: version})
	}
}

// mortal makes the process die when s gets to a point.
func mortal(s update.Step, point string) update.Step {
	around := func(verb string, f func(context.Context, *update.Task) error) func(context.Context, *update.Task) error {
		if f == nil {
			return nil
		}
		die := func(when string) {
			if point == s.Name+" "+verb+" "+when {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		return func(ctx context.Context, t *update.Task) error {
			die("before")
			err := f(ctx, t)
			die("after")
			return err
		}
	}
	s.Do, s.Undo = around("do", s.Do), around("undo", s.Undo)
	return s
}

// crash is a world at release 1.0.0 for one test.
type crash struct {
	dir, address string
}

// newCrash copies template, a folder that template makes.
func newCrash(t *testing.T, template string) crash {
	t.Helper()
	c := crash{dir: t.TempDir()}
	require.NoError(t, os.CopyFS(c.dir, os.DirFS(template)))
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(c.dir, "public"))))
	t.Cleanup(server.Close)
	c.address = server.URL
	return c
}

// template makes a folder with a world at release 1.0.0.
func template(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "cache"), 0o755))
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(dir, "public"))))
	defer server.Close()
	w, err := openWorld(dir, server.URL, asIs)
	require.NoError(t, err)
	_, err = install(t.Context(), w.Updater, "1.0.0")
	require.NoError(t, err)
	w.close()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cache", "page"), nil, 0o600))
	put(t, "photo", dir, "public/uploads/2026/photo.jpg")
	return dir
}

// start starts a child that updates the world, and returns once it is ready.
func (c crash) start(t *testing.T, version, point string) *exec.Cmd {
	t.Helper()
	return startChild(t, child("update", c.dir, c.address, version, point))
}

// startChild returns once the child has said that it is ready.
func startChild(t *testing.T, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return cmd
}

// killed waits for the child's end, and reports whether it was killed.
func killed(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	timer := time.AfterFunc(hangs, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// recover finishes or rolls back what the child left, and returns the last
// run, which is the first when no other was recorded.
func (c crash) recover(t *testing.T) update.Run {
	t.Helper()
	w, err := openWorld(c.dir, c.address, asIs)
	require.NoError(t, err)
	defer w.close()
	require.NoError(t, w.Recover(t.Context()))
	for run, err := range w.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		return run
	}
	require.Fail(t, "no run at all")
	return update.Run{}
}

// check looks whether the world is wholly at the release that run says, and
// each effect is there once.
func (c crash) check(t *testing.T, run update.Run) {
	t.Helper()
	version := run.Version
	switch run.State {
	case update.StateSucceeded:
	case update.StateRolledBack:
		version = "1.0.0"
	default:
		require.Fail(t, "the run is neither here nor there", "%s: %s", run.State, run.Reason)
	}
	require.NoFileExists(t, filepath.Join(c.dir, "maintenance.json"))
	sub, err := fs.Sub(world1, version+"/pages")
	require.NoError(t, err)
	want := map[string]string{"uploads/2026/photo.jpg": "photo"}
	require.NoError(t, fs.WalkDir(sub, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			data, _ := fs.ReadFile(sub, name)
			want[name] = string(data)
		}
		return err
	}))
	require.Equal(t, want, tree(t, filepath.Join(c.dir, "public")))

	db := openDB(t, filepath.Join(c.dir, "site.db"))
	counted := map[string][]string{"1.0.0": {"1"}, "1.1.0": {"1", "2", "3"}}
	require.Equal(t, counted[version], values(t, db, "SELECT n FROM counted ORDER BY n"))
	require.Len(t, recorded(t, db), len(counted[version]))
	require.Equal(t, []string{"ok"}, values(t, db, "PRAGMA integrity_check"))

	own, err := filepath.Glob(filepath.Join(c.dir, "copies", "site-*-"+run.ID+".db"))
	require.NoError(t, err)
	half, err := filepath.Glob(filepath.Join(c.dir, "copies", ".*"+run.ID+"*"))
	require.NoError(t, err)
	if run.State == update.StateSucceeded {
		require.Len(t, own, 1)
		require.Empty(t, half)
	}
	if run.Version != "1.0.0" { // else the child was killed before it began
		require.Empty(t, tree(t, filepath.Join(c.dir, "cache")))
	}
	c.checkLog(t, run)
}

// checkLog looks at the effects of the command, which has no probe: they are
// there at least once, and undone last when they were undone.
func (c crash) checkLog(t *testing.T, run update.Run) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "log"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	last := lines[len(lines)-1]
	switch {
	case run.State == update.StateSucceeded:
		require.Equal(t, "done "+run.Version, last)
	case len(lines) > 1:
		require.Equal(t, "undone "+run.Version, last)
	}
}

func TestEveryStepSurvivesAKillAroundItsEffect(t *testing.T) {
	t.Parallel()
	home := template(t)
	w, err := openWorld(t.TempDir(), "http://127.0.0.1:1", asIs)
	require.NoError(t, err)
	w.close()
	for _, s := range w.steps {
		for _, when := range []string{"before", "after"} {
			points := map[string]string{s.Name + " do " + when: "1.1.0"}
			if s.Undo != nil && s.Name != "maintenance off" { // the health check comes first
				points[s.Name+" undo "+when] = "1.2.0-rc.1"
			}
			for point, version := range points {
				t.Run(point, func(t *testing.T) {
					t.Parallel()
					c := newCrash(t, home)
					require.True(t, killed(t, c.start(t, version, point)), "the child got there")
					run := c.recover(t)
					require.Equal(t, version, run.Version)
					require.Equal(t, version == "1.1.0", run.State == update.StateSucceeded, run.Reason)
					c.check(t, run)
				})
			}
		}
	}
}

func TestAnUpdateSurvivesAKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	home := template(t)
	c := newCrash(t, home)
	start := time.Now()
	require.False(t, killed(t, c.start(t, "1.2.0-rc.1", "")))
	whole := time.Since(start)
	c.check(t, c.recover(t))
	for i := range often(6, 60) {
		version := []string{"1.1.0", "1.2.0-rc.1"}[i%2]
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, home)
			for range 2 { // the second child begins with what the first one left
				cmd := c.start(t, version, "")
				time.AfterFunc(rand.N(whole), func() { _ = cmd.Process.Kill() })
				killed(t, cmd)
			}
			c.check(t, c.recover(t))
		})
	}
}

func init() {
	// restore puts two copies of the database in a folder in turn, for ever.
	children["restore"] = func(args []string) {
		db, err := sql.Open("sqlite", dsn(filepath.Join(args[0], "site.db"), args[1], "busy_timeout(180000)"))
		if err != nil {
			panic(err)
		}
		s := step.SQLite{DB: db, Dir: filepath.Join(args[0], "copies")}
		fmt.Println("ready")
		for i := 0; ; i++ {
			if err := s.Restore(context.Background(), task("any", "1.1.0"), args[2+i%2]); err != nil {
				panic(err)
			}
		}
	}
}

func TestARestoreThatIsKilledLeavesOneContentOrTheOther(t *testing.T) {
	t.Parallel()
	fill := func(letter string, rows int) string {
		return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) INSERT INTO page SELECT '%s', hex(randomblob(1000)) FROM n", rows, letter)
	}
	for _, journal := range []string{"journal_mode(WAL)", "journal_mode(DELETE)"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "site.db")
			db := openDB(t, path, journal)
			s := step.SQLite{DB: db, Dir: filepath.Join(dir, "copies")}
			execSQL(t, db, "CREATE TABLE page (letter TEXT, text TEXT)", "CREATE INDEX page_text ON page (text)", fill("a", 100))
			few, err := s.Save(t.Context(), task("few", "1.1.0"))
			require.NoError(t, err)
			execSQL(t, db, "DELETE FROM page", fill("b", 200))
			many, err := s.Save(t.Context(), task("many", "1.1.0"))
			require.NoError(t, err)
			require.NoError(t, db.Close())
			for range often(3, 30) {
				cmd := startChild(t, child("restore", dir, journal, few, many))
				time.AfterFunc(rand.N(150*time.Millisecond), func() { _ = cmd.Process.Kill() })
				require.True(t, killed(t, cmd))

				db := openDB(t, path)
				found := values(t, db, "SELECT letter || count(*) FROM page GROUP BY letter")
				require.Len(t, found, 1)
				require.Contains(t, []string{"a100", "b200"}, found[0])
				require.Equal(t, []string{"ok"}, values(t, db, "PRAGMA integrity_check"))
				require.NoError(t, db.Close())
			}
		})
	}
}
