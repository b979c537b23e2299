package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(folder, "upkeep.db")})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	ctx := context.Background()
	held, err := db.Locker().Acquire(ctx, "core", "ada", time.Minute)
	fmt.Println(held.Token, err)
	_, err = db.Locker().Acquire(ctx, "core", "bob", time.Minute)
	fmt.Println(errors.Is(err, lease.ErrHeld))
	// Output:
	// 1 <nil>
	// true
}

func ExampleDB_Within() {
	app, err := sql.Open("sqlite", "file:example?mode=memory")
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close()
	app.SetMaxOpenConns(1) // a database in memory is that of its connection

	ctx := context.Background()
	db, err := sqlite.Use(ctx, app, sqlite.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	tx, err := app.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.Exec("CREATE TABLE customer (name TEXT)"); err != nil {
		log.Fatal(err)
	}
	_, err = db.Within(tx).Locker().Acquire(ctx, "core", "ada", time.Minute)
	fmt.Println("taken:", err == nil)
	tx.Rollback() // neither the table nor the lease

	_, err = db.Locker().Holder(ctx, "core")
	fmt.Println("free:", errors.Is(err, lease.ErrFree))
	// Output:
	// taken: true
	// free: true
}
