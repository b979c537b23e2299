package replica_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func ExampleNew() {
	service, err := lv.New(lv.Config{Store: memory.New()})
	if err != nil {
		log.Fatal(err)
	}
	table := service.Table("site", "banners")
	if _, err := table.Save(context.Background(), "top", []byte(`{"text":"Spring sale"}`), lv.By{Actor: "ada"}); err != nil {
		log.Fatal(err)
	}
	if _, err := table.Publish(context.Background(), lv.Production, lv.By{Actor: "ada"}, "top"); err != nil {
		log.Fatal(err)
	}
	// The HTTP adapter has this route, and the feed.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		snapshot, err := table.Snapshot(r.Context())
		if err == nil {
			err = replica.WriteSnapshot(w, table.ID, snapshot)
		}
		if err != nil {
			log.Print(err)
		}
	}))
	defer server.Close()

	dir, err := os.MkdirTemp("", "replica")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r, err := replica.New(replica.Config{
		URL: server.URL, Table: table.ID, File: filepath.Join(dir, "banners.json"),
	})
	if err != nil {
		log.Fatal(err)
	}
	// Elsewhere: go r.Run(ctx) follows the server.
	row, err := r.Table().Get(context.Background(), "top", lv.View{})
	fmt.Println(string(row.Content), err)
	// Output: {"text":"Spring sale"} <nil>
}
