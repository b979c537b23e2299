package replica_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/httpadapter"
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
	api, err := httpadapter.New(httpadapter.Config{
		LV: service, Auth: httpadapter.Secrets{"the token of the replica": {ID: "replica", Role: httpadapter.Reader}},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(api)
	defer server.Close()

	// What follows is in another process.
	dir, err := os.MkdirTemp("", "replica")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r, err := replica.New(replica.Config{
		URL: server.URL + "/upkeep/v1/lv", Table: lv.TableID{App: "site", Schema: "banners"}, File: filepath.Join(dir, "banners.json"),
		Authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer the token of the replica") },
	})
	if err != nil {
		log.Fatal(err)
	}
	// Elsewhere: r.Run(ctx) follows the server.
	row, err := r.Table().Get(context.Background(), "top", lv.View{})
	fmt.Println(string(row.Content), err)
	// Output: {"text":"Spring sale"} <nil>
}
