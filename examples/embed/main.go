// Embed shows updates inside somebody else's program: it publishes the newest
// of its releases into the folder public, and is up to date when run again.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

//go:embed releases
var releases embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := publish(ctx, "upkeep.db", "public"); err != nil {
		log.Fatal(err)
	}
}

func publish(ctx context.Context, database, folder string) error {
	db, err := sqlite.Open(sqlite.Config{Path: database})
	if err != nil {
		return err
	}
	defer db.Close()
	u, err := update.New(update.Config{Store: db, Packages: []update.Package{{
		Name:   "demo/pages",
		Source: source.Static("1.0.0", "1.1.0"),
		Steps:  []update.Step{step.PublishFiles(step.Publish{Files: step.Sub(releases, "releases/{version}"), Dir: folder})},
	}}})
	if err != nil {
		return err
	}
	defer u.Close()
	run, err := u.Update(ctx, update.Request{Package: "demo/pages"})
	if ctx.Err() != nil { // the step that is under way has ten seconds; the next start goes on with it
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(err, u.Shutdown(patience))
	}
	if errors.Is(err, update.ErrUpToDate) {
		fmt.Println("up to date")
		return nil
	}
	fmt.Println(run.Version, run.State)
	return err
}
