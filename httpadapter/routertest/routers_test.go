package routertest_test

import (
	"context"
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

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func init() { gin.SetMode(gin.ReleaseMode) } // says nothing on its own

// newAPI returns an adapter with one table of rows, below a prefix.
func newAPI(prefix string) *httpadapter.Adapter {
	rows, err := lv.New(lv.Config{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	api, err := httpadapter.New(httpadapter.Config{
		LV: rows, Prefix: prefix, Tables: []lv.TableID{{App: "shop", Schema: "banners"}},
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

// TestEveryRouterHandsTheRequestOver: beside what stands there for a
// ServeMux, these are the lines of the table at Config.Prefix.
func TestEveryRouterHandsTheRequestOver(t *testing.T) {
	for name, tt := range map[string]struct {
		path   string // before the routes, in the request
		prefix string // Config.Prefix
		mount  func(*httpadapter.Adapter) http.Handler
	}{
		"chi": {"", "", func(api *httpadapter.Adapter) http.Handler {
			r := chi.NewRouter()
			r.Mount("/", api)
			return r
		}},
		"chi below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
			r := chi.NewRouter()
			r.Mount("/svc", api)
			return r
		}},
		"gin": {"", "", func(api *httpadapter.Adapter) http.Handler {
			r := gin.New()
			r.NoRoute(gin.WrapH(api))
			return r
		}},
		"gin below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
			r := gin.New()
			r.Any("/svc/*rest", gin.WrapH(api))
			return r
		}},
		"echo": {"", "", func(api *httpadapter.Adapter) http.Handler {
			e := echo.New()
			e.Any("/*", echo.WrapHandler(api))
			return e
		}},
		"echo below a path": {"/svc", "/svc", func(api *httpadapter.Adapter) http.Handler {
			e := echo.New()
			e.Any("/svc/*", echo.WrapHandler(api))
			return e
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := tt.mount(newAPI(tt.prefix))
			status, body := put(h, tt.path)
			require.Equal(t, http.StatusOK, status, body)
			require.Contains(t, body, `"a/ü"`)
			if tt.path != "" {
				status, _ = put(h, "")
				require.Equal(t, http.StatusNotFound, status)
			}
		})
	}
}
