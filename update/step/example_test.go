//go:build unix

package step_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing/fstest"

	_ "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// updateTo brings a package made of steps to a version and prints how it went.
func updateTo(version string, steps ...update.Step) {
	state := memory.New() // a program of your own keeps it: sqlite.Open
	defer state.Close()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: source.Static(version), Steps: steps},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	run, err := u.Update(context.Background(), update.Request{Package: "demo/site", Version: version})
	fmt.Println(run.Version, run.State, err)
}

// temp is a folder for an example.
func temp() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

// A web site: its database, its pages, its cache, and a look at it afterwards.
// A failure anywhere takes all of it back.
func Example() {
	dir, remove := temp()
	defer remove()
	db, err := sql.Open("sqlite", filepath.Join(dir, "site.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	site := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(dir, "public"))))
	defer site.Close()
	releases := fstest.MapFS{ // usually an embed.FS
		"1.0.0/sql/0001_news.sql":  {Data: []byte("CREATE TABLE news (title TEXT);")},
		"1.0.0/pages/version.html": {Data: []byte("this is 1.0.0")},
	}

	backup := step.SQLite{DB: db, Dir: filepath.Join(dir, "backups")}
	rest, resume := step.Maintenance(filepath.Join(dir, "maintenance.json"))
	updateTo("1.0.0",
		rest,
		step.BackupSQLite(backup),
		step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: backup}),
		step.PublishFiles(step.Publish{Files: step.Sub(releases, "{version}/pages"), Dir: filepath.Join(dir, "public")}),
		step.ClearDir(filepath.Join(dir, "cache")),
		step.HTTPHealth(step.Health{URL: site.URL + "/version.html", Contains: "{version}"}),
		resume,
	)
	// Output: 1.0.0 succeeded <nil>
}

func ExampleCommand() {
	updateTo("1.1.0", step.Named("install", step.Command(step.Exec{
		Args: []string{"sh", "-c", "echo no disk left; exit 28"},
		Undo: []string{"echo", "uninstall", "demo@{version}"},
		Env:  []string{"VERSION={version}"},
	})))
	// Output:
	// 1.1.0 rolled_back update: failed: step "install": running "sh": exit status 28
	// no disk left
}

func ExampleMigrateSQL() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // in memory, each connection has a database of its own

	migrations := fstest.MapFS{
		"1.1.0/0001_news.sql": {Data: []byte("CREATE TABLE news (title TEXT);")},
		"1.1.0/0002_body.sql": {Data: []byte("ALTER TABLE news ADD COLUMN body TEXT;")},
	}
	updateTo("1.1.0", step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(migrations, "{version}")}))
	_, err = db.Exec("INSERT INTO news (title, body) VALUES ('hello', 'world')")
	fmt.Println(err)
	// Output:
	// 1.1.0 succeeded <nil>
	// <nil>
}

func ExamplePublishFiles() {
	dir, remove := temp()
	defer remove()
	public := filepath.Join(dir, "public")
	releases := fstest.MapFS{
		"1.0.0/index.html": {Data: []byte("old")}, "1.0.0/about.html": {Data: []byte("old")},
		"1.1.0/index.html": {Data: []byte("new")},
	}
	publish := step.PublishFiles(step.Publish{
		Files: step.Sub(releases, "{version}"), Dir: public, Keep: []string{"uploads", "config/*.local.php"},
	})
	for _, version := range []string{"1.0.0", "1.1.0"} {
		updateTo(version, publish)
		names, _ := filepath.Glob(filepath.Join(public, "*"))
		index, _ := os.ReadFile(filepath.Join(public, "index.html"))
		fmt.Println(len(names), string(index))
		os.Mkdir(filepath.Join(public, "uploads"), 0o755) // by the users of the site
	}
	os.WriteFile(filepath.Join(public, "notes.txt"), nil, 0o644)
	fmt.Println(errors.Is(publish.Check(context.Background(), &update.Task{Release: update.Release{Version: "1.0.0"}}), step.ErrForeign))
	// Output:
	// 1.0.0 succeeded <nil>
	// 2 old
	// 1.1.0 succeeded <nil>
	// 2 new
	// true
}

func ExampleMaintenance() {
	dir, remove := temp()
	defer remove()
	flag := filepath.Join(dir, "maintenance.json")
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(flag); err == nil {
			http.Error(w, "back in a minute", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "welcome")
	}))
	defer site.Close()

	look := update.Step{Name: "look", Do: func(context.Context, *update.Task) error {
		resp, err := http.Get(site.URL)
		if err == nil {
			fmt.Println(resp.Status)
			resp.Body.Close()
		}
		return err
	}}
	on, off := step.Maintenance(flag)
	updateTo("1.1.0", on, look, off, step.Named("look again", look))
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// 1.1.0 succeeded <nil>
}

func ExampleHTTPHealth() {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "this is 1.0.0")
	}))
	defer site.Close()
	updateTo("1.1.0", step.HTTPHealth(step.Health{URL: site.URL, Contains: "this is {version}", Attempts: 1}))
	// Output: 1.1.0 rolled_back update: failed: step "health": step: not healthy after 1 attempts: the answer does not contain "this is 1.1.0"
}

func ExampleBackupSQLite() {
	dir, remove := temp()
	defer remove()
	db, err := sql.Open("sqlite", filepath.Join(dir, "site.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	updateTo("1.1.0", step.BackupSQLite(step.SQLite{DB: db, Dir: filepath.Join(dir, "backups"), Keep: 5}))
	copies, _ := filepath.Glob(filepath.Join(dir, "backups", "site-*.db"))
	fmt.Println(len(copies))
	// Output:
	// 1.1.0 succeeded <nil>
	// 1
}

func ExampleClearDir() {
	cache, remove := temp()
	defer remove()
	os.WriteFile(filepath.Join(cache, "page"), nil, 0o600)
	updateTo("1.1.0", step.ClearDir(cache))
	left, _ := os.ReadDir(cache)
	fmt.Println(len(left))
	// Output:
	// 1.1.0 succeeded <nil>
	// 0
}

func ExampleSub() {
	releases := fstest.MapFS{
		"1.0.0/pages/index.html": {Data: []byte("old")},
		"1.1.0/pages/index.html": {Data: []byte("new")}, "1.1.0/sql/0001_news.sql": {},
	}
	tree, err := step.Sub(releases, "{version}/pages")(update.Release{Version: "1.1.0"})
	if err != nil {
		log.Fatal(err)
	}
	names, _ := fs.Glob(tree, "*")
	fmt.Println(names)
	// Output: [index.html]
}
