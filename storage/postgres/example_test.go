package postgres_test

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// Several machines update a site, one at a time.
func Example() {
	ctx := context.Background()
	state, err := postgres.Open(ctx, postgres.Config{URL: os.Getenv("DATABASE_URL")})
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close()
	u, err := update.New(update.Config{
		Store: state,
		Packages: []update.Package{{
			Name:   "demo/site",
			Source: source.Static("1.0.0", "1.1.0"),
			Steps:  []update.Step{{Name: "publish", Do: func(context.Context, *update.Task) error { return nil }}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	run, err := u.Update(ctx, update.Request{Package: "demo/site"})
	log.Println(run.Version, run.State, err)
}

// The application's own change and the lease are there together or not at all.
func ExampleDB_Within() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	state, err := postgres.Use(ctx, pool, postgres.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE site SET frozen = true"); err != nil {
			return err
		}
		_, err := state.Within(tx).Locker().Acquire(ctx, "site", "editor", time.Hour)
		return err
	})
	log.Println(err)
}
