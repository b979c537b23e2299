package goproxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/goproxy"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
)

// proxy is a module proxy on this machine. It answers by path, and remembers
// what it was asked.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T, answers map[string]http.HandlerFunc) *proxy {
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.URL.Path)
		p.mu.Unlock()
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestGoProxyListsTheVersionsOfAModule(t *testing.T) {
	tests := []struct {
		name, module, path, list string
		want                     []string
	}{
		{"one version a line", "example.com/tool", "/example.com/tool/@v/list", "v1.0.0\nv1.1.0\n", []string{"v1.0.0", "v1.1.0"}},
		{"a last line without an end counts", "example.com/tool", "/example.com/tool/@v/list", "v1.0.0\nv1.1.0", []string{"v1.0.0", "v1.1.0"}},
		{"empty lines and foreign line ends do not", "example.com/tool", "/example.com/tool/@v/list", "\r\nv1.0.0\r\n\r\n", []string{"v1.0.0"}},
		{"what follows a version is left out", "example.com/tool", "/example.com/tool/@v/list", "v1.0.0 2024-01-02\n", []string{"v1.0.0"}},
		{"capitals are escaped", "example.com/Tool/XY/v2", "/example.com/!tool/!x!y/v2/@v/list", "v2.0.0+incompatible\n", []string{"v2.0.0+incompatible"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t, map[string]http.HandlerFunc{"/base" + tt.path: text(tt.list)})
			releases, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: p.URL + "/base/", Module: tt.module}, "demo/tool")
			require.NoError(t, err)
			require.Equal(t, tt.want, sourcetest.Versions(releases))
			require.Equal(t, []string{"/base" + tt.path}, p.asked, "one request is enough")
		})
	}
}

func TestGoProxyAsksForThePackageWhenItHasNoModule(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{"/example.com/tool/@v/list": text("v1.0.0\n")})
	releases, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: p.URL}, "example.com/tool")
	require.NoError(t, err)
	require.Equal(t, []string{"v1.0.0"}, sourcetest.Versions(releases))
}

func TestGoProxyAsksForTheLatestVersionOfAModuleWithoutTags(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{
		"/example.com/tool/@v/list": text(""),
		"/example.com/tool/@latest": text(`{"Version":"v0.0.0-20240102030405-abcdefabcdef","Time":"2024-01-02T05:04:05+02:00"}`),
	})
	releases, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: p.URL}, "example.com/tool")
	require.NoError(t, err)
	require.Equal(t, []update.Release{{
		Version: "v0.0.0-20240102030405-abcdefabcdef", Time: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
	}}, releases)
}

func TestGoProxyTellsAMissingModuleFromOtherFailures(t *testing.T) {
	const list, latest = "/example.com/tool/@v/list", "/example.com/tool/@latest"
	tests := []struct {
		name     string
		answers  map[string]http.HandlerFunc
		notFound bool
		message  string
	}{
		{"404", map[string]http.HandlerFunc{list: status(404)}, true, "not found"},
		{"410", map[string]http.HandlerFunc{list: status(410)}, true, "not found"},
		{"no latest", map[string]http.HandlerFunc{list: text("")}, true, "not found"},
		{"403", map[string]http.HandlerFunc{list: status(403)}, false, "answered 403 Forbidden"},
		{"500", map[string]http.HandlerFunc{list: status(500)}, false, "answered 500 Internal Server Error"},
		{"a latest that is no JSON", map[string]http.HandlerFunc{list: text(""), latest: text("<html>")}, false, "reading the latest version"},
		{"a latest without a name", map[string]http.HandlerFunc{list: text(""), latest: text("{}")}, false, "has no name"},
		{"a list without end", map[string]http.HandlerFunc{list: text(strings.Repeat("v1.0.0\n", 1<<20))}, false, "more than 4194304 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t, tt.answers)
			releases, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: p.URL}, "example.com/tool")
			require.ErrorContains(t, err, tt.message)
			require.Empty(t, releases)
			if tt.notFound {
				require.ErrorIs(t, err, update.ErrNotFound)
			} else {
				require.NotErrorIs(t, err, update.ErrNotFound)
			}
		})
	}
}

func TestGoProxyRefusesWhatIsNoModulePath(t *testing.T) {
	p := newProxy(t, nil)
	for _, module := range []string{"../secret", "a/../b", "a//b", "/a", "a/", "a/./b", "a b", "a?b", "a%2fb", "a!b", "é", "a\\b", "a\nb"} {
		_, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: p.URL, Module: module}, "demo/tool")
		require.ErrorIs(t, err, update.ErrInvalid, module)
	}
	require.Empty(t, p.asked)
}

func TestGoProxyRepeatsNoSecretInItsErrors(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{
		"/example.com/tool/@v/list": func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "token-one" || password != "token-two" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, "http://127.0.0.1:1/?signature=token-three", http.StatusFound)
		},
		"/example.com/other/@v/list": status(500),
	})
	address := strings.Replace(p.URL, "://", "://token-one:token-two@", 1)
	for _, module := range []string{"example.com/tool", "example.com/other", "example.com/missing"} {
		_, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: address, Module: module}, "")
		require.Error(t, err)
		require.NotContains(t, err.Error(), "token-")
	}
	_, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: "ftp://token-one@example.com/"}, "example.com/tool")
	require.ErrorContains(t, err, "not the URL of a module proxy")
	require.NotContains(t, err.Error(), "token-")
}

func TestGoProxyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newProxy(t, map[string]http.HandlerFunc{
		"/example.com/tool/@v/list": func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() },
	})
	_, err := sourcetest.Collect(ctx, goproxy.Source{URL: p.URL}, "example.com/tool")
	require.ErrorIs(t, err, context.Canceled)
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestGoProxyUsesItsClient(t *testing.T) {
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		text("v1.0.0\n")(w, r)
		return w.Result(), nil
	})}
	releases, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: "http://127.0.0.1:1", Client: client}, "example.com/tool")
	require.NoError(t, err)
	require.Equal(t, []string{"v1.0.0"}, sourcetest.Versions(releases))
}

func TestGoProxyReadsGOPROXY(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{"/example.com/tool/@v/list": text("v1.0.0\n")})
	t.Setenv("GONOPROXY", "none")
	for _, list := range []string{p.URL, p.URL + ",direct", " ," + p.URL + "|http://127.0.0.1:1"} {
		t.Setenv("GOPROXY", list)
		releases, err := sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
		require.NoError(t, err)
		require.Equal(t, []string{"v1.0.0"}, sourcetest.Versions(releases))
	}

	t.Setenv("GOPROXY", "proxy.example.com/go,direct")
	var asked string
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String()
		w := httptest.NewRecorder()
		text("v1.0.0\n")(w, r)
		return w.Result(), nil
	})}
	_, err := sourcetest.Collect(t.Context(), goproxy.Source{Client: client}, "example.com/tool")
	require.NoError(t, err)
	require.Equal(t, "https://proxy.example.com/go/example.com/tool/@v/list", asked, "a URL may lack its scheme")
}

func TestGoProxyDoesNotAskWhomTheGoCommandWouldNotAsk(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{"/example.com/tool/@v/list": text("v1.0.0\n")})
	tests := []struct {
		name, goproxy, gonoproxy, goprivate, message string
	}{
		{"direct", "direct", "none", "", "GOPROXY begins with direct"},
		{"direct before a proxy", "direct|" + p.URL, "none", "", "GOPROXY begins with direct"},
		{"off before a proxy", "off," + p.URL, "none", "", "GOPROXY begins with off"},
		{"a private module", p.URL, "example.com/*", "", "GONOPROXY"},
		{"one of several patterns", p.URL, "*.corp.example.com, rsc.io/private,example.com", "", "GONOPROXY"},
		{"what GONOPROXY defaults to", p.URL, "", "example.com/t*/", "GONOPROXY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("GOPROXY", tt.goproxy)
			t.Setenv("GONOPROXY", tt.gonoproxy)
			t.Setenv("GOPRIVATE", tt.goprivate)
			t.Setenv("GOENV", "off")
			_, err := sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
			require.ErrorIs(t, err, errors.ErrUnsupported)
			require.ErrorContains(t, err, tt.message)
		})
	}
	require.Empty(t, p.asked)

	t.Setenv("GOPROXY", "direct")
	t.Setenv("GOPRIVATE", "example.com")
	releases, err := sourcetest.Collect(t.Context(), goproxy.Source{URL: p.URL}, "example.com/tool")
	require.NoError(t, err, "a URL says whom to ask")
	require.Equal(t, []string{"v1.0.0"}, sourcetest.Versions(releases))
}

func TestGoProxyAsksForModulesThatAreNotPrivate(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{"/example.com/tool/@v/list": text("v1.0.0\n")})
	t.Setenv("GOPROXY", p.URL)
	t.Setenv("GOPRIVATE", "example.com")
	for _, patterns := range []string{"none", "example.com/other", "example.com/tool/cmd", "example.org", "example.co", "[,,", "/example.com"} {
		t.Setenv("GONOPROXY", patterns)
		_, err := sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
		require.NoError(t, err, patterns)
	}
}

func TestGoProxySaysThatGOPROXYIsNoURL(t *testing.T) {
	t.Setenv("GONOPROXY", "none")
	for list, message := range map[string]string{
		",":                        "GOPROXY names no proxy",
		"ftp://example.com,direct": "not the URL of a module proxy",
		"/srv/proxy,http://x.y":    "not the URL of a module proxy",
		"proxy,http://x.y":         "not the URL of a module proxy",
	} {
		t.Setenv("GOPROXY", list)
		_, err := sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
		require.ErrorContains(t, err, message, list)
	}
}

func TestGoProxyAsksGoForGOPROXY(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for go is a shell script")
	}
	p := newProxy(t, map[string]http.HandlerFunc{"/example.com/tool/@v/list": text("v1.0.0\n")})
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'env GOPROXY GONOPROXY' ] && echo '%s,direct' && echo \"$PATTERNS\"\n", p.URL)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755))
	t.Setenv("PATH", bin)
	t.Setenv("GOPROXY", "")
	t.Setenv("GONOPROXY", "")
	releases, err := sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
	require.NoError(t, err)
	require.Equal(t, []string{"v1.0.0"}, sourcetest.Versions(releases))

	t.Setenv("PATTERNS", "example.com")
	t.Setenv("GOPROXY", p.URL)
	_, err = sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
	require.ErrorIs(t, err, errors.ErrUnsupported)

	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOPRIVATE", "")
	_, err = sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
	require.NoError(t, err, "where there is no go, the environment says it all")
	t.Setenv("GOPRIVATE", "example.com")
	_, err = sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	t.Setenv("GOPROXY", "")
	_, err = sourcetest.Collect(t.Context(), goproxy.Source{}, "example.com/tool")
	require.ErrorContains(t, err, "asking go for GOPROXY")
}

func TestGoProxyReadsAFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "example.com/!tool/@v"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "example.com/!tool/@v/list"), []byte("v1.0.0\nv1.1.0\n"), 0o644))
	address := "file://" + filepath.ToSlash(dir)
	if runtime.GOOS == "windows" {
		address = "file:///" + filepath.ToSlash(dir)
	}
	p := goproxy.Source{URL: address}
	releases, err := sourcetest.Collect(t.Context(), p, "example.com/Tool")
	require.NoError(t, err)
	require.Equal(t, []string{"v1.0.0", "v1.1.0"}, sourcetest.Versions(releases))
	_, err = sourcetest.Collect(t.Context(), p, "example.com/other")
	require.ErrorIs(t, err, update.ErrNotFound)
}

func TestGoProxyStopsWithItsReader(t *testing.T) {
	p := newProxy(t, map[string]http.HandlerFunc{"/example.com/tool/@v/list": text("v1.0.0\nv1.1.0\n")})
	var seen []string
	for r, err := range (goproxy.Source{URL: p.URL}).Versions(t.Context(), "example.com/tool") {
		require.NoError(t, err)
		seen = append(slices.Clone(seen), r.Version)
		break
	}
	require.Equal(t, []string{"v1.0.0"}, seen)
}
