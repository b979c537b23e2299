package routertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func init() { gin.SetMode(gin.ReleaseMode) } // says nothing on its own

// nothing is a feed, and a verifier, that nobody asks.
type nothing struct {
	firmware.Feed
	firmware.Verifier
}

// newAPI returns an adapter with one table of rows and a device, below a prefix.
func newAPI(prefix string) *httpadapter.Adapter {
	rows, err := lv.New(lv.Config{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	device := slot.NewSimulator("1.2.0", []byte("image"))
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Store: memory.New(), Slots: device, Reboot: device.Reboot, Feed: nothing{}, Verifier: nothing{},
	})
	if err != nil {
		log.Fatal(err)
	}
	api, err := httpadapter.New(httpadapter.Config{
		LV: rows, Firmware: fw, Prefix: prefix, Tables: []lv.TableID{{App: "shop", Schema: "banners"}},
		Auth: httpadapter.Secrets{"an editor's token": {ID: "ann", Role: httpadapter.Editor}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return api
}

// put saves a row whose id has a slash and an umlaut, and returns the reply.
func put(h http.Handler, prefix string) (status int, body string) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPut,
		prefix+"/upkeep/v1/lv/rows/a%2f%c3%bc?appid=shop&schemaid=banners", strings.NewReader(`{"content": {"text": "Sale"}}`))
	r.Header.Set("Authorization", "Bearer an editor's token")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text)
}

func Example_chi() {
	api := newAPI("")
	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "yours") })
	r.Mount("/", api) // what no route of yours is for
	status, _ := put(r, "")
	fmt.Println(status)
	// Output: 200
}

func Example_gin() {
	api := newAPI("")
	r := gin.New()
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "yours") })
	r.NoRoute(gin.WrapH(api)) // what no route of yours is for
	status, _ := put(r, "")
	fmt.Println(status)
	// Output: 200
}

func Example_echo() {
	api := newAPI("")
	e := echo.New()
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "yours") })
	e.Any("/*", echo.WrapHandler(api)) // what no route of yours is for
	status, _ := put(e, "")
	fmt.Println(status)
	// Output: 200
}

// router is a way to mount the adapter. Those of the table at Config.Prefix are
// all here.
type router struct {
	path   string // before the routes, in the request
	prefix string // Config.Prefix
	mount  func(*httpadapter.Adapter) http.Handler
	// exact is true where a path that ends in "/" is only itself: what is
	// unknown is answered by the router then.
	exact bool
}

var routers = map[string]router{
	"ServeMux": {"", "", func(api *httpadapter.Adapter) http.Handler {
		mux := http.NewServeMux()
		api.Register(mux)
		return mux
	}, false},
	"ServeMux below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
		mux := http.NewServeMux()
		api.Register(mux)
		return mux
	}, false},
	"StripPrefix": {"/svc", "", func(api *httpadapter.Adapter) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/svc/", http.StripPrefix("/svc", api))
		return mux
	}, false},
	"chi Register": {"", "", func(api *httpadapter.Adapter) http.Handler {
		r := chi.NewRouter()
		api.Register(r)
		return r
	}, true},
	"chi Register below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
		r := chi.NewRouter()
		api.Register(r)
		return r
	}, true},
	"chi Register on a router of its own": {"/svc", "", func(api *httpadapter.Adapter) http.Handler {
		r := chi.NewRouter()
		r.Route("/svc", func(r chi.Router) { api.Register(r) })
		return r
	}, true},
	"chi Mount": {"", "", func(api *httpadapter.Adapter) http.Handler {
		r := chi.NewRouter()
		r.Mount("/", api)
		return r
	}, false},
	"chi Mount below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
		r := chi.NewRouter()
		r.Mount("/svc", api)
		return r
	}, false},
	"gin": {"", "", func(api *httpadapter.Adapter) http.Handler {
		r := gin.New()
		r.NoRoute(gin.WrapH(api))
		return r
	}, false},
	"gin below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
		r := gin.New()
		r.Any("/svc/*rest", gin.WrapH(api))
		return r
	}, false},
	"echo": {"", "", func(api *httpadapter.Adapter) http.Handler {
		e := echo.New()
		e.Any("/*", echo.WrapHandler(api))
		return e
	}, false},
	"echo below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
		e := echo.New()
		e.Any("/svc/*", echo.WrapHandler(api))
		return e
	}, false},
}

// ids are ids as they are sent, and as they are meant.
var ids = map[string]string{
	"a": "a", "%C3%BC": "ü", "%c3%bc": "ü", "neu%20(1)%20%C3%BC": "neu (1) ü", "a%2Fb": "a/b", "a+b": "a+b",
	"x%2e": "x.", "%2e%2ex": "..x", "x%2e%2e": "x..", "%7Bid%7D": "{id}", "100%25": "100%",
}

func send(h http.Handler, method, path, body string) (status int, media, text string) {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer an editor's token")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header().Get("Content-Type"), w.Body.String()
}

func TestEveryRouterHandsTheRequestOver(t *testing.T) {
	const table = "?appid=shop&schemaid=banners"
	for name, tt := range routers {
		t.Run(name, func(t *testing.T) {
			h := tt.mount(newAPI(tt.prefix))
			rows := tt.path + "/upkeep/v1/lv/rows/"
			for sent, id := range ids {
				want, err := json.Marshal(id)
				require.NoError(t, err)
				status, _, text := send(h, "PUT", rows+sent+table, `{"content": {}}`)
				require.Equal(t, http.StatusOK, status, text)
				require.Contains(t, text, `"object_id":`+string(want), sent)
				status, _, text = send(h, "GET", rows+sent+table, "")
				require.Equal(t, http.StatusOK, status, text)
				require.Contains(t, text, `"object_id":`+string(want), sent)
				status, _, text = send(h, "HEAD", rows+sent+table, "")
				require.Equal(t, http.StatusOK, status)
				require.Equal(t, "", text)
			}
			status, _, text := send(h, "GET", rows[:len(rows)-1]+table+"&working=true", "")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, len(ids)-1, strings.Count(text, "object_id"), "two spellings are one row")

			for _, unknown := range []struct{ method, path, media string }{
				{"POST", "/upkeep/v1/lv/rows/a" + table, "application/problem+json"}, // the wrong method
				{"DELETE", "/lv/prod" + table, "application/json"},
				{"POST", "/api/update/status", "application/json; charset=UTF-8"},
				{"DELETE", "/upkeep/v1/firmware/status", "application/problem+json"},
				{"GET", "/upkeep/v1/firmware/nope", ""},
				{"GET", "/upkeep/v1/nope/x", ""}, // the unknown path
				{"GET", "/lv/unknown/path", ""},
				{"GET", "/upkeep/v1/lv/rows/a/" + table, ""}, // the trailing slash
				{"GET", "/upkeep/v1/lv/rows/" + table, ""},
			} {
				status, media, text := send(h, unknown.method, tt.path+unknown.path, "")
				switch {
				case unknown.media != "":
					require.Equal(t, http.StatusMethodNotAllowed, status, "%s: %s", unknown.path, text)
					require.Equal(t, unknown.media, media, text)
				default:
					require.Equal(t, http.StatusNotFound, status, "%s: %s", unknown.path, text)
					if !tt.exact {
						require.Contains(t, []string{"application/problem+json", "application/json"}, media, text)
					}
				}
			}
			key := table + "&authid=ann&authkey=an+editor%27s+token"
			for _, id := range []string{"1", "1/"} { // of a version, and of no gray
				r := httptest.NewRequestWithContext(t.Context(), "GET", tt.path+"/lv/release/"+id+key, nil)
				r.Header.Set("Staffname", "ann")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, http.StatusOK, w.Code, "%s: %s", id, w.Body)
			}
			r := httptest.NewRequestWithContext(t.Context(), "GET", tt.path+"/api/update/status", nil)
			r.Header.Set("Cookie", "mwcloud-sid=an%20editor; mwcloud-uid=ann")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, http.StatusUnauthorized, w.Code, "%s: a cookie is nobody's secret", w.Body)
			require.Contains(t, w.Body.String(), `"result"`)
			status, _, text = send(h, "GET", tt.path+"/upkeep/v1/firmware/status", "")
			require.Equal(t, http.StatusOK, status, text)
			require.Contains(t, text, `"state":"idle"`)
			if tt.path != "" {
				status, _, _ = send(h, "GET", strings.TrimPrefix(rows, tt.path)+"a"+table, "")
				require.Equal(t, http.StatusNotFound, status)
			}
		})
	}
}
