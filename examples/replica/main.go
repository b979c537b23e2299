// Replica follows the rows of examples/server from another process, and still
// shows them while the server is away.
//
//	go run ./examples/replica -credentials FILE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
)

func main() {
	credentials := flag.String("credentials", "credentials.json", "`file` in which the server keeps what is needed to use it")
	file := flag.String("file", filepath.Join(os.TempDir(), "upkeep-replica.json"), "`file` for the rows as they were last")
	addr := flag.String("addr", "127.0.0.1:8081", "`address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rows, err := follow(*credentials, *file)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *addr, Handler: show(rows), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	var background sync.WaitGroup
	background.Go(func() { _ = rows.Run(ctx) }) // ends with ctx
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	background.Wait() // for the file
}

// follow returns a replica of the server's table of banners and pages.
func follow(credentials, file string) (*replica.Replica, error) {
	text, err := os.ReadFile(credentials)
	if err != nil {
		return nil, err
	}
	var server struct{ Addr, AppID, SchemaID, AuthKey string }
	if err := json.Unmarshal(text, &server); err != nil {
		return nil, fmt.Errorf("reading %q: %w", credentials, err)
	}
	return replica.New(replica.Config{
		URL:       "http://" + server.Addr + "/upkeep/v1/lv",
		Table:     lv.TableID{App: server.AppID, Schema: server.SchemaID},
		File:      file,
		Authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+server.AuthKey) },
		SaveEvery: time.Second,
	})
}

// show lists the rows as a visitor sees them whose attributes are in the
// query, such as ?env.content=Hello, and says how fresh they are.
func show(rows *replica.Replica) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		visitor := lv.Attributes{}
		for name, values := range r.URL.Query() {
			visitor[name] = values[0]
		}
		for row, err := range rows.Table().Rows(r.Context(), lv.View{For: visitor}) {
			if row.Corrupt {
				fmt.Fprintf(w, "%s is damaged\n", row.ID)
				continue
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintf(w, "%s %s\n", row.ID, row.Content)
		}
		state := "the server is away"
		if s := rows.Status(); s.Connected {
			state = "connected to the server"
		}
		fmt.Fprintln(w, state)
	}
}
