package goproxy_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/goproxy"
)

// A tool that is kept at the newest version of its module. The empty Source
// asks the proxy that the go command would ask first, if it would ask one.
func ExampleSource() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/example.com/!tool/@v/list" {
			fmt.Fprintln(w, "v1.2.0\nv1.10.0\nv2.0.0-rc.1")
		}
	}))
	defer proxy.Close()

	state := memory.New()
	defer state.Close()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{{
		Name:   "example.com/Tool",
		Source: goproxy.Source{URL: proxy.URL},
		Steps: []update.Step{{Name: "install", Do: func(_ context.Context, t *update.Task) error {
			fmt.Println("go install " + t.Run.Package + "@" + t.Release.Version)
			return nil
		}}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()

	run, err := u.Update(context.Background(), update.Request{Package: "example.com/Tool"})
	fmt.Println(run.State, err)
	// Output:
	// go install example.com/Tool@v1.10.0
	// succeeded <nil>
}
