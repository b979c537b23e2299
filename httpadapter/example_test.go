package httpadapter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// The documented API, beside an application's own routes.
func Example() {
	state := memory.New()
	updates, err := update.New(update.Config{
		Store: state,
		Packages: []update.Package{{
			Name:   "demo/site",
			Source: source.Static("1.0.0", "1.1.0"),
			Steps: []update.Step{{
				Name: "publish", // your installer
				Do:   func(context.Context, *update.Task) error { return nil },
			}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer updates.Close()

	api, err := httpadapter.New(httpadapter.Config{
		Update: updates,
		Auth:   httpadapter.Secrets{"an admin's token": {ID: "ann", Role: httpadapter.Admin}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	api.Register(mux) // beside your own routes
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, call := range []struct{ path, body string }{
		{"/api/v1/update", `{"api_token": "a guess", "package": "demo/site"}`},
		{"/api/v1/update", `{"api_token": "an admin's token", "package": "demo/site"}`},
		{"/api/v1/update/progress", `{"api_token": "an admin's token", "itemId": "core"}`},
	} {
		reply, err := http.Post(server.URL+call.path, "application/json", bytes.NewBufferString(call.body))
		if err != nil {
			log.Fatal(err)
		}
		text, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		fmt.Printf("%d %s", reply.StatusCode, text)
	}
	// Output:
	// 401 {"status":"fail","message":"Invalid api_token"}
	// 200 {"status":"success","message":"Successfully updated","version":"1.1.0"}
	// 200 {"status":"success","message":"Successfully fetched updating progress","progress":0}
}

// The table of routes is there to be looked at.
func ExampleAdapter_Routes() {
	state := memory.New()
	updates, err := update.New(update.Config{
		Store: state,
		Packages: []update.Package{{
			Name: "demo/site", Source: source.Static("1.0.0"),
			Steps: []update.Step{{Name: "publish", Do: func(context.Context, *update.Task) error { return nil }}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer updates.Close()
	api, err := httpadapter.New(httpadapter.Config{Update: updates, Prefix: "/svc"})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range api.Routes() {
		if r.Changes {
			fmt.Println(r.Methods, r.Pattern, r.Needs)
		}
	}
	// Output:
	// [POST] /svc/api/v1/update admin
	// [POST] /svc/upkeep/v1/updates/runs admin
	// [POST] /svc/upkeep/v1/updates/runs/{id}/cancel admin
	// [POST] /svc/upkeep/v1/updates/runs/{id}/rollback admin
	// [POST] /svc/upkeep/v1/updates/locks/{item}/break admin
}
