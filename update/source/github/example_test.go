package github_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/update/source/github"
	"github.com/upkeep-go/upkeep/update/step"
)

// The releases of a repository, here on a stand-in for GitHub.
func ExampleSource() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `[{"tag_name": "v1.1.0", "assets": [
			{"name": "app_1.1.0_linux_amd64.tar.gz", "state": "uploaded", "size": 11, "browser_download_url": "https://example.com/a"},
			{"name": "app_1.1.0_windows_amd64.zip", "state": "uploaded", "size": 12, "browser_download_url": "https://example.com/b"}
		]}]`)
	}))
	defer api.Close()

	g := &github.Source{API: api.URL, Repository: "demo/app", OS: "windows", Arch: "amd64"}
	for r, err := range g.Versions(context.Background(), "app") {
		fmt.Println(r.Version, r.URL, err)
	}
	// Output: v1.1.0 https://example.com/b <nil>
}

// The assets of a private repository are read with its token, which the API
// alone gets to see. Here it is a stand-in for GitHub.
func ExampleSource_AssetClient() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "the program")
	}))
	defer api.Close()

	g := &github.Source{API: api.URL, Repository: "demo/app", Token: "secret", Private: true}
	artifact := step.Artifact{Dir: "downloads", Client: g.AssetClient()} // for step.Download

	resp, err := artifact.Client.Get(api.URL + "/repos/demo/app/releases/assets/1")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(content), err)
	// Output: 200 the program <nil>
}
