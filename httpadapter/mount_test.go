package httpadapter_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

// TestThePrefixIsThatOfTheRequest checks the table at Config.Prefix, as far as
// the standard library has routers; package routertest does the others.
func TestThePrefixIsThatOfTheRequest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		prefix string
		below  string // what a client's paths begin with
		mount  func(*http.ServeMux, *httpadapter.Adapter)
	}{
		{"Register", "", "", func(mux *http.ServeMux, api *httpadapter.Adapter) { api.Register(mux) }},
		{"a handler", "", "", func(mux *http.ServeMux, api *httpadapter.Adapter) { mux.Handle("/", api) }},
		{"Register below a path", "/svc", "/svc", func(mux *http.ServeMux, api *httpadapter.Adapter) { api.Register(mux) }},
		{"a handler below a path", "/svc", "/svc", func(mux *http.ServeMux, api *httpadapter.Adapter) { mux.Handle("/svc/", api) }},
		{"StripPrefix", "", "/svc", func(mux *http.ServeMux, api *httpadapter.Adapter) {
			mux.Handle("/svc/", http.StripPrefix("/svc", api))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{configure: func(c *httpadapter.Config) { c.Prefix = tt.prefix }}
			s.open(t)
			mux := http.NewServeMux()
			tt.mount(mux, s.adapter)
			get := func(path string) int {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				r.Header.Set("Authorization", "Bearer "+admin)
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				return w.Code
			}
			require.Equal(t, http.StatusOK, get(tt.below+"/upkeep/v1/updates/packages"))
			if tt.below != "" {
				require.Equal(t, http.StatusNotFound, get("/upkeep/v1/updates/packages"))
			}
		})
	}
}

func TestAServeMuxTakesRoutesBesideRegisterAsItsDocSays(t *testing.T) {
	for _, tt := range []struct {
		prefix, pattern string
		panics          bool
	}{
		{"", "GET /", true}, {"/svc", "GET /", true}, {"", "GET /{page}", true},
		{"", "/", false}, {"", "GET /{$}", false}, {"", "/{page}", false}, {"/svc", "GET /{page}", false},
	} {
		s := &site{configure: func(c *httpadapter.Config) { c.Prefix = tt.prefix }}
		s.open(t)
		mux := http.NewServeMux()
		s.adapter.Register(mux)
		add := func() { mux.Handle(tt.pattern, http.NotFoundHandler()) }
		if tt.panics {
			require.Panics(t, add, "%q beside %q", tt.pattern, tt.prefix)
		} else {
			require.NotPanics(t, add, "%q beside %q", tt.pattern, tt.prefix)
		}
	}
}

func TestAnEmptySecretIsNoFailedLogin(t *testing.T) {
	s := new(site)
	s.configure = func(c *httpadapter.Config) { c.Limits.Logins = 1 }
	s.open(t)
	ask := func(body string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/update/progress", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		return w.Code
	}
	for range 12 {
		require.Equal(t, http.StatusUnauthorized, ask(`{"api_token": "", "itemId": "core"}`))
		require.Equal(t, http.StatusUnauthorized, ask(`{"itemId": "core"}`))
	}
	require.Equal(t, http.StatusUnauthorized, ask(`{"api_token": "a guess", "itemId": "core"}`))
	require.Equal(t, http.StatusTooManyRequests, ask(`{"api_token": "a guess", "itemId": "core"}`))
}
