package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/update/source/internal/web"
)

const (
	perPage  = 100
	maxPages = 10
	maxPage  = 16 << 20 // bytes
	maxFile  = 1 << 20  // bytes of a list of checksums or a signature
	// maxWait bounds how long the API is left alone: its limits are by the hour.
	maxWait = time.Hour
)

// apiRelease is what the API says of a release.
type apiRelease struct {
	Tag        string     `json:"tag_name"`
	Draft      bool       `json:"draft"`
	Prerelease bool       `json:"prerelease"`
	Published  time.Time  `json:"published_at"`
	Assets     []apiAsset `json:"assets"`
}

type apiAsset struct {
	Name     string `json:"name"`
	URL      string `json:"url"` // at the API
	Download string `json:"browser_download_url"`
	Size     int64  `json:"size"`
	State    string `json:"state"`
	Digest   string `json:"digest"` // "sha256:" and digits, or nothing
}

// page is one answer of the API.
type page struct {
	etag     string
	releases []apiRelease
	next     string // URL of the next page, or ""
}

// decodePage reads an answer of the API, without the assets that are yet to come.
func decodePage(text []byte) ([]apiRelease, error) {
	var releases []apiRelease
	if err := json.Unmarshal(text, &releases); err != nil {
		return nil, fmt.Errorf("github: the API's list of releases: %w", err)
	}
	for i, r := range releases {
		for _, a := range r.Assets {
			if a.Size < 0 {
				return nil, fmt.Errorf("github: asset %.64q has %d bytes", a.Name, a.Size)
			}
		}
		releases[i].Assets = slices.DeleteFunc(r.Assets, func(a apiAsset) bool { return a.State != "uploaded" })
	}
	return releases, nil
}

// releases yields what the API has, page by page.
func (s *session) releases(ctx context.Context) iter.Seq2[apiRelease, error] {
	return func(yield func(apiRelease, error) bool) {
		next := s.api.JoinPath("repos", s.repository, "releases")
		next.RawQuery = "per_page=" + strconv.Itoa(perPage)
		for range maxPages {
			p, err := s.page(ctx, next)
			if err != nil {
				yield(apiRelease{}, err)
				return
			}
			for _, r := range p.releases {
				if !yield(r, nil) {
					return
				}
			}
			if p.next == "" {
				return
			}
			if next, err = url.Parse(p.next); err != nil || !sameOrigin(next, s.api) {
				yield(apiRelease{}, errors.New("github: the API names a next page that is not its own"))
				return
			}
		}
	}
}

// page asks for one page, or finds that it has not changed.
func (s *session) page(ctx context.Context, u *url.URL) (page, error) {
	s.mu.Lock()
	known := s.pages[u.String()]
	s.mu.Unlock()
	header := http.Header{"Accept": {"application/vnd.github+json"}}
	if known.etag != "" {
		header.Set("If-None-Match", known.etag)
	}
	resp, err := s.ask(ctx, u, header)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && known.etag != "" {
		return known, nil
	}
	if err := web.Refusal(resp, u); err != nil {
		return page{}, err
	}
	text, err := web.Read(resp.Body, u, maxPage)
	if err != nil {
		return page{}, err
	}
	fresh := page{etag: resp.Header.Get("Etag"), next: nextLink(resp.Header.Values("Link"))}
	if fresh.releases, err = decodePage(text); err != nil {
		return page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil || len(s.pages) > 2*maxPages {
		s.pages = map[string]page{}
	}
	s.pages[u.String()] = fresh
	return fresh, nil
}

// file returns the content of a small asset, once.
func (s *session) file(ctx context.Context, a apiAsset) ([]byte, error) {
	s.mu.Lock()
	text, ok := s.Source.files[a.URL]
	s.mu.Unlock()
	if !ok {
		u, err := s.address(a)
		if err != nil {
			return nil, err
		}
		resp, err := s.ask(ctx, u, http.Header{"Accept": {"application/octet-stream"}})
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if err := web.Refusal(resp, u); err != nil {
			return nil, err
		}
		if text, err = web.Read(resp.Body, u, maxFile); err != nil {
			return nil, err
		}
	}
	s.files[a.URL] = text
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Source.files == nil {
		s.Source.files = map[string][]byte{}
	}
	s.Source.files[a.URL] = text
	return text, nil
}

// forget keeps of the small assets those that were of use in this session.
func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Source.files = s.files
}

// ask sends a request, unless the API wants to be left alone. What comes back
// is no refusal for that reason.
func (s *session) ask(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	s.mu.Lock()
	until := s.until
	s.mu.Unlock()
	if time.Now().Before(until) {
		return nil, &RateLimitError{Host: s.api.Host, Until: until}
	}
	resp, err := web.Get(ctx, s.client, u, header)
	if err != nil {
		return nil, err
	}
	if wait, limited := rateLimit(resp); limited {
		resp.Body.Close()
		limit := &RateLimitError{Host: u.Host, Until: time.Now().Add(wait)}
		if sameOrigin(u, s.api) {
			s.mu.Lock()
			s.until = limit.Until
			s.mu.Unlock()
		}
		return nil, limit
	}
	return resp, nil
}

// rateLimit tells whether an answer says to wait, and how long.
func rateLimit(resp *http.Response) (time.Duration, bool) {
	h := resp.Header
	exhausted := h.Get("X-RateLimit-Remaining") == "0"
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
	case resp.StatusCode == http.StatusForbidden && (h.Get("Retry-After") != "" || exhausted):
	default:
		return 0, false
	}
	wait := time.Minute // what GitHub asks for if it says nothing
	if asked, ok := fetch.RetryAfter(h); ok {
		wait = asked
	} else if at, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil && exhausted {
		wait = time.Unix(at, 0).Sub(fetch.Now(h))
	}
	return min(max(wait, time.Second), maxWait), true
}

// nextLink returns the URL of the next page from Link headers, "" for none.
func nextLink(headers []string) string {
	for _, header := range headers {
		for link := range strings.SplitSeq(header, ",") {
			target, parameters, _ := strings.Cut(strings.TrimSpace(link), ";")
			target, open := strings.CutPrefix(target, "<")
			target, closed := strings.CutSuffix(target, ">")
			for p := range strings.SplitSeq(parameters, ";") {
				if strings.TrimSpace(p) == `rel="next"` && open && closed {
					return target
				}
			}
		}
	}
	return ""
}

// AssetClient returns a client for the step that downloads the artifact. It
// has no timeout unless g.Client has. It gives the token to the API, and to
// nobody else, wherever it is redirected to, and asks the API for the content
// of assets.
func (g *Source) AssetClient() *http.Client {
	client := web.Guarded(g.Client, g.AllowHTTP)
	base := client.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	client.Transport = authorized{Source: g, base: base}
	return client
}

// authorized adds what the API wants to have to requests to it.
type authorized struct {
	*Source
	base http.RoundTripper
}

func (t authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	api, err := t.api()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "upkeep") // the API wants one
	}
	if sameOrigin(r.URL, api) {
		r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
		if r.Header.Get("Accept") == "" {
			r.Header.Set("Accept", "application/octet-stream")
		}
		if t.Token != "" {
			r.Header.Set("Authorization", "Bearer "+t.Token)
		}
	}
	return t.base.RoundTrip(r)
}

// sameOrigin reports whether two URLs are of one server.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}
