// Embed shows updates inside somebody else's program: it publishes the newest
// of its releases into the folder public, and is up to date when run again.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

//go:embed releases
var releases embed.FS

func main() {
	if err := publish(context.Background(), "upkeep.db", "public"); err != nil {
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
	if errors.Is(err, update.ErrUpToDate) {
		fmt.Println("up to date")
		return nil
	}
	fmt.Println(run.Version, run.State)
	return err
}
