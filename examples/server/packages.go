package main

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/source/goproxy"
	"github.com/upkeep-go/upkeep/update/step"
)

const siteName = "demo/site"

// releases are the releases of the site: pages, and the SQL that leads to them.
//
//go:embed releases
var releases embed.FS

// updates is how the site is brought to another release. While that happens
// visitors are told to come back; a release that is not healthy is taken back.
func (s *site) updates(addr string, pace time.Duration) update.Package {
	closed, open := step.Maintenance(s.closedFlag())
	database := step.SQLite{DB: s.db, Dir: filepath.Join(s.dir, "backups")}
	return update.Package{
		Name:   siteName,
		Source: source.Static("1.0.0", "1.1.0", "1.2.0-rc.1"),
		Steps: []update.Step{
			closed,
			step.BackupSQLite(database),
			step.MigrateSQL(step.Migrations{
				DB: s.db, Files: step.Sub(releases, "releases/{version}/migrations"), Backup: database,
			}),
			step.PublishFiles(step.Publish{Files: step.Sub(releases, "releases/{version}/pages"), Dir: s.public()}),
			step.ClearDir(s.cache()),
			rest(pace),
			step.HTTPHealth(step.Health{
				URL: "http://" + addr + "/site/healthz", Contains: "healthy {version}", Attempts: 3, Interval: 200 * time.Millisecond, Timeout: 30 * time.Second,
			}),
			open,
		},
	}
}

// rest is a step of our own: it gives people time to look.
func rest(pace time.Duration) update.Step {
	return update.Step{Name: "rest", Weight: 5, Do: func(ctx context.Context, t *update.Task) error {
		const parts = 20
		for i := range int64(parts) {
			t.Progress(i, parts, "resting")
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pace / parts):
			}
		}
		return nil
	}}
}

// tool keeps a Go program in dir current: the newest version that the module
// proxy has. It needs the go command.
func tool(dir string) update.Package {
	const name = "golang.org/x/perf/cmd/benchstat"
	binary := filepath.Join(dir, "benchstat")
	install := step.Command(step.Exec{
		Args: []string{"go", "install", name + "@{version}"},
		Undo: []string{"go", "install", name + "@{from}"},
		Env:  []string{"GOBIN=" + dir},
	})
	reinstall := install.Undo
	install.Undo = func(ctx context.Context, t *update.Task) error {
		if t.Previous() != "" {
			return reinstall(ctx, t)
		}
		err := os.Remove(binary)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return update.Package{
		Name:   name,
		Source: goproxy.Source{Module: "golang.org/x/perf"},
		Lock:   "tools", // does not wait for the site, nor the site for it
		Steps: []update.Step{
			step.Named("install", install),
			step.Named("look at it", step.Command(step.Exec{Args: []string{"go", "version", "-m", binary}})),
		},
		AllowPrerelease: true, // the module has no tags
	}
}
