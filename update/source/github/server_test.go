package github_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/upkeep-go/upkeep/update/source/github"
)

const secret = "token-of-the-test"

// tag is a release of the stand-in for GitHub.
type tag struct {
	Name       string     `json:"tag_name"`
	Draft      bool       `json:"draft"`
	Prerelease bool       `json:"prerelease"`
	Published  any        `json:"published_at"`
	Assets     []uploaded `json:"assets"`
	Body       string     `json:"body"`
}

// uploaded is an asset. Its content is in the stand-in.
type uploaded struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Download string `json:"browser_download_url"`
	Size     int    `json:"size"`
	State    string `json:"state"`
	Digest   any    `json:"digest"`
}

// hub is a stand-in for GitHub: an API, and another host that has the
// content of assets. The two differ in their ports.
type hub struct {
	api, content *httptest.Server

	mu      sync.Mutex
	tags    []tag
	files   map[string]string // content by path
	digests bool              // whether the API says what assets hash to
	asked   []*http.Request   // of both hosts
	same    int               // answers that nothing has changed
	answer  http.HandlerFunc  // of the API, instead
}

func newHub(t *testing.T, tags ...tag) *hub {
	g := &hub{tags: tags, files: map[string]string{}, digests: true}
	g.api = httptest.NewServer(http.HandlerFunc(g.serveAPI))
	g.content = httptest.NewServer(http.HandlerFunc(g.serveContent))
	t.Cleanup(g.api.Close)
	t.Cleanup(g.content.Close)
	return g
}

// release is one with these assets, of which each has its name as its content,
// unless it is followed by "=" and something else.
func (g *hub) release(name string, assets ...string) tag {
	r := tag{Name: name, Published: "2026-05-01T12:00:00Z"}
	for _, a := range assets {
		file, content, ok := strings.Cut(a, "=")
		if !ok {
			content = file
		}
		path := "/" + name + "/" + file
		g.files[path] = content
		up := uploaded{
			Name: file, URL: g.api.URL + "/assets" + path, Download: g.content.URL + path, Size: len(content), State: "uploaded",
		}
		if g.digests {
			up.Digest = "sha256:" + hex.EncodeToString(digest(content))
		}
		r.Assets = append(r.Assets, up)
	}
	return r
}

func (g *hub) log(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r)
}

// requests returns the addresses that were asked for, and forgets them.
func (g *hub) requests() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.asked {
		list = append(list, r.URL.RequestURI())
	}
	g.asked = nil
	return list
}

func (g *hub) serveAPI(w http.ResponseWriter, r *http.Request) {
	g.log(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answer != nil {
		g.answer(w, r)
		return
	}
	switch path, ok := strings.CutPrefix(r.URL.Path, "/assets"); {
	case ok && r.Header.Get("Authorization") != "Bearer "+secret, ok && r.Header.Get("Accept") != "application/octet-stream":
		http.NotFound(w, r) // as for everything that is not to be seen
	case ok:
		http.Redirect(w, r, g.content.URL+path+"?signed=by-github", http.StatusFound)
	case r.URL.Path == "/repos/demo/app/releases":
		g.serveReleases(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (g *hub) serveReleases(w http.ResponseWriter, r *http.Request) {
	perPage, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	begin := min((page-1)*perPage, len(g.tags))
	end := min(begin+perPage, len(g.tags))
	text, err := json.Marshal(g.tags[begin:end])
	if err != nil {
		panic(err)
	}
	etag := fmt.Sprintf("W/%q", hex.EncodeToString(digest(string(text))))
	w.Header().Set("Etag", etag)
	if end < len(g.tags) {
		w.Header().Set("Link", fmt.Sprintf(`<%s/repos/demo/app/releases?per_page=%d&page=1>; rel="first", <%s/repos/demo/app/releases?per_page=%d&page=%d>; rel="next"`,
			g.api.URL, perPage, g.api.URL, perPage, page+1))
	}
	if r.Header.Get("If-None-Match") == etag {
		g.same++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(text)
}

func (g *hub) serveContent(w http.ResponseWriter, r *http.Request) {
	g.log(r)
	content, ok := g.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(content))
}

// source is a source for linux/amd64.
func (g *hub) source() *github.Source {
	return &github.Source{API: g.api.URL, OS: "linux", Arch: "amd64"}
}

func digest(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	return sum[:]
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
