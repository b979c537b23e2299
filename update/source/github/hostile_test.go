package github_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/source/github"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
)

// nobodyElse fails unless the token went to the API alone.
func (g *hub) nobodyElse(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	api := strings.TrimPrefix(g.api.URL, "http://")
	for _, r := range g.asked {
		if r.Host != api {
			require.Empty(t, r.Header.Get("Authorization"), "%s%s", r.Host, r.URL)
		}
		require.NotContains(t, r.URL.String(), secret)
		require.NotContains(t, r.Header.Get("Referer"), secret)
	}
}

func TestAPrivateRepositoryIsReadByTheAPI(t *testing.T) {
	g := newHub(t)
	g.digests = false
	g.tags = []tag{g.release("v1.0.0", linux, sums+"="+listed(linux))}
	s := g.source()
	s.Token, s.Private = secret, true
	releases, err := sourcetest.Collect(t.Context(), s, "demo/app")
	require.NoError(t, err)
	require.Equal(t, digest(linux), releases[0].Digest)
	require.Equal(t, g.api.URL+"/assets/v1.0.0/"+linux, releases[0].URL)

	client := s.AssetClient()
	require.Zero(t, client.Timeout, "an artifact may take long")
	resp, err := client.Get(releases[0].URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, linux, string(content))
	require.Len(t, g.asked, 5, "the list of releases, and a redirect for each file")
	g.nobodyElse(t)

	resp, err = http.Get(releases[0].URL)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "without the token there is nothing")
}

func TestTheTokenGoesToTheAPIAlone(t *testing.T) {
	other := newHub(t)
	to := func(address string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, address, http.StatusTemporaryRedirect)
		}
	}
	tests := []struct {
		name   string
		answer func(g *hub) http.HandlerFunc
		err    string
	}{
		{"a redirect to another port", func(*hub) http.HandlerFunc { return to(other.api.URL + "/repos/demo/app/releases") }, ""},
		{"a redirect that comes back", func(g *hub) http.HandlerFunc {
			other.answer = to(g.api.URL + "/back")
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/back" {
					_, _ = io.WriteString(w, "[]")
					return
				}
				to(other.api.URL)(w, r)
			}
		}, ""},
		{"a redirect to plain http", func(*hub) http.HandlerFunc { return to("http://example.com/") }, "not https"},
		{"a next page elsewhere", func(*hub) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", fmt.Sprintf(`<%s/repos/demo/app/releases>; rel="next"`, other.api.URL))
				_, _ = io.WriteString(w, "[]")
			}
		}, "not its own"},
		{"an asset elsewhere", func(*hub) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `[{"tag_name":"v1.0.0","assets":[{"name":%q,"state":"uploaded","size":1,"url":"%s/assets/app"},
					{"name":"checksums.txt","state":"uploaded","size":1,"url":"%s/assets/list"}]}]`, linux, other.api.URL, other.api.URL)
			}
		}, "not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newHub(t)
			other.answer = nil
			g.answer = tt.answer(g)
			s := g.source()
			s.Token, s.Private = secret, true
			_, err := sourcetest.Collect(t.Context(), s, "demo/app")
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.err)
				require.NotContains(t, err.Error(), secret)
			}
			g.nobodyElse(t)
			for _, r := range other.asked {
				require.Empty(t, r.Header.Get("Authorization"), r.URL)
			}
			if tt.err != "not https" && tt.err != "not its own" {
				require.NotEmpty(t, other.requests(), "it was asked, without the token")
			}
			other.requests()
		})
	}
}

func TestGitHubsAnswersThatAreNone(t *testing.T) {
	one := func(member string) string {
		return fmt.Sprintf(`[{"tag_name":"v1.0.0","assets":[{"name":%q,"state":"uploaded","size":1,"browser_download_url":"https://example.com/app"%s}]}]`, linux, member)
	}
	write := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		err    error
		says   string
	}{
		{"404", status(404), update.ErrNotFound, "/repos/demo/app/releases"},
		{"401", status(401), nil, "answered 401"},
		{"403 without a limit", status(403), nil, "answered 403"},
		{"500", status(500), nil, "answered 500"},
		{"304 to the first request", status(304), nil, "answered 304"},
		{"a portal", write("<html>"), nil, "list of releases"},
		{"an object", write(`{"message":"hello"}`), nil, "list of releases"},
		{"cut", write(`[{"tag_name":`), nil, "list of releases"},
		{"two answers", write(`[] []`), nil, "list of releases"},
		{"very much", func(w http.ResponseWriter, r *http.Request) {
			for block := make([]byte, 1<<16); r.Context().Err() == nil; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, nil, "more than 16777216 bytes"},
		{"a size below 0", write(one(`,"size":-1`)), nil, "-1 bytes"},
		{"plain http", write(one(`,"browser_download_url":"http://example.com/app"`)), source.ErrInsecure, "example.com"},
		{"a file", write(one(`,"browser_download_url":"file:///etc/passwd"`)), source.ErrInsecure, ""},
		{"no address", write(one(`,"browser_download_url":""`)), source.ErrInsecure, ""},
		{"a user in the address", write(one(`,"browser_download_url":"https://a:b@example.com/app"`)), nil, "cannot be parsed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newHub(t)
			g.answer = tt.answer
			releases, err := sourcetest.Collect(t.Context(), g.source(), "demo/app")
			require.ErrorContains(t, err, tt.says)
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
			}
			require.Empty(t, releases)
		})
	}
}

func TestARateLimitSaysWhenToAskAgain(t *testing.T) {
	unix := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	tests := []struct {
		name   string
		status int
		header func() map[string]string
		wait   time.Duration
	}{
		{"so many seconds", 403, func() map[string]string { return map[string]string{"Retry-After": "90"} }, 90 * time.Second},
		{"at a time", 429, func() map[string]string {
			return map[string]string{"Retry-After": time.Now().Add(5 * time.Minute).UTC().Format(http.TimeFormat)}
		}, 5 * time.Minute},
		{"when the hour is over", 403, func() map[string]string {
			return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": unix(20 * time.Minute)}
		}, 20 * time.Minute},
		{"by the server's clock", 403, func() map[string]string {
			return map[string]string{
				"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": unix(-24*time.Hour + 10*time.Minute),
				"Date": time.Now().Add(-24 * time.Hour).UTC().Format(http.TimeFormat),
			}
		}, 10 * time.Minute},
		{"it does not say", 429, func() map[string]string { return nil }, time.Minute},
		{"for ever", 429, func() map[string]string { return map[string]string{"Retry-After": "2000000000"} }, time.Hour},
		{"nonsense", 429, func() map[string]string { return map[string]string{"Retry-After": "soon"} }, time.Minute},
		{"in the past", 403, func() map[string]string {
			return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": unix(-time.Hour)}
		}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, limited := 0, true
				client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
					asked++
					w := httptest.NewRecorder()
					if limited {
						for name, value := range tt.header() {
							w.Header().Set(name, value)
						}
						w.WriteHeader(tt.status)
					} else {
						_, _ = io.WriteString(w, "[]")
					}
					return w.Result(), nil
				})}
				s := &github.Source{Client: client, Token: secret}
				_, err := sourcetest.Collect(t.Context(), s, "demo/app")
				require.ErrorIs(t, err, github.ErrRateLimited)
				var limit *github.RateLimitError
				require.ErrorAs(t, err, &limit)
				require.Equal(t, "api.github.com", limit.Host)
				require.Equal(t, tt.wait, time.Until(limit.Until))
				require.NotContains(t, err.Error(), secret)

				limited = false
				_, err = sourcetest.Collect(t.Context(), s, "demo/app")
				require.ErrorIs(t, err, github.ErrRateLimited, "it is left alone until then")
				require.Equal(t, 1, asked)
				time.Sleep(tt.wait)
				_, err = sourcetest.Collect(t.Context(), s, "demo/app")
				require.NoError(t, err)
				require.Equal(t, 2, asked)
			})
		})
	}
}

func TestALimitOfThoseWhoServeAssetsIsNotTheAPIs(t *testing.T) {
	g := newHub(t)
	g.digests = false
	g.tags = []tag{g.release("v1.0.0", linux, sums+"="+listed(linux))}
	busy := httptest.NewServer(status(http.StatusTooManyRequests))
	defer busy.Close()
	g.tags[0].Assets[1].Download = busy.URL
	s := g.source()
	for range 2 {
		_, err := sourcetest.Collect(t.Context(), s, "demo/app")
		require.ErrorIs(t, err, github.ErrRateLimited)
	}
	require.Len(t, g.requests(), 2)
}

func TestWhatWasReadBeforeALimitIsNotReadAgain(t *testing.T) {
	g := newHub(t)
	g.digests = false
	g.tags = []tag{
		g.release("v1.1.0", linux, sums+"="+listed(linux)),
		g.release("v1.0.0", linux, sums+"="+listed(linux)),
	}
	delete(g.files, "/v1.0.0/"+sums)
	s := g.source()
	for range 2 {
		_, err := sourcetest.Collect(t.Context(), s, "demo/app")
		require.ErrorIs(t, err, update.ErrNotFound)
	}
	require.Equal(t, []string{
		"/repos/demo/app/releases?per_page=100", "/v1.1.0/" + sums, "/v1.0.0/" + sums,
		"/repos/demo/app/releases?per_page=100", "/v1.0.0/" + sums,
	}, g.requests())
}

func TestGitHubIsNotAskedForWhatIsNoRepository(t *testing.T) {
	g := newHub(t)
	for _, name := range []string{"", "demo", "demo/app/more", "../app", "demo/..", "demo/.", "demo/a b", "demo/a%2fb", "demo/app?x", "-demo/app", "démo/app"} {
		_, err := sourcetest.Collect(t.Context(), g.source(), name)
		require.ErrorIs(t, err, update.ErrInvalid, name)
	}
	for _, api := range []string{"http://example.com", "ftp://example.com", "https://", "http://[", "https://user:token-x@example.com", "https://example.com/?q"} {
		s := g.source()
		s.API, s.Token = api, secret
		_, err := sourcetest.Collect(t.Context(), s, "demo/app")
		require.Error(t, err, api)
		require.NotContains(t, err.Error(), "token-")
	}
	require.Empty(t, g.requests())
}

func TestGitHubEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := newHub(t)
	g.answer = func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }
	_, err := sourcetest.Collect(ctx, g.source(), "demo/app")
	require.ErrorIs(t, err, context.Canceled)
}
