package github_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/update/source/github"
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
