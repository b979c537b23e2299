// Embed shows updates inside somebody else's program.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

func main() {
	db, err := sqlite.Open(sqlite.Config{Path: "upkeep.db"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	u, err := update.New(update.Config{Locker: db.Locker(), Journal: db.Journal(), Packages: []update.Package{{
		Name:   "demo/pages",
		Source: source.Static("1.0.0", "1.1.0"),
		Steps:  []update.Step{step.PublishFiles(step.Sub(os.DirFS("."), "releases/{version}"), "public")},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	run, err := u.Update(context.Background(), update.Request{Package: "demo/pages"})
	fmt.Println(run.Version, run.State, err)
}
