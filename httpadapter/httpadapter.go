package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/update"
)

// Config configures an Adapter. A zero field means its documented default.
type Config struct {
	// Update serves the WNCMS Updates API and /upkeep/v1/updates/. The routes
	// of a nil service do not exist; at least one is required.
	Update *update.Updater
	// LV serves the row-version API, under /lv/ and /api/lv/, and
	// /upkeep/v1/lv/.
	LV *lv.Service
	// Firmware serves the update status API of Magewell Control Hub, under
	// /api/update/, and /upkeep/v1/firmware/.
	Firmware *firmware.Service
	// Rollout serves the rolling update of WeChat CloudBase, under
	// /componenttcb/, and /upkeep/v1/rollouts/: see RolloutAPI.
	Rollout *rollout.Controller
	// Folder serves the cloud sync API of SiYuan, under /api/sync/ and /ws, and
	// /upkeep/v1/sync/.
	Folder *cloudsync.Folder
	// Sync serves in its place what does not need a Folder: syncs, their runs and
	// events. Default: Folder.
	Sync cloudsync.Syncer
	// Remotes are the Folder's, as clients of the cloud sync API list, make and
	// remove them. Default: these routes do not exist.
	Remotes cloudsync.Remotes

	// Auth decides about every request. Default: refuse all.
	Auth Authenticator
	// ProgressOpen lets anybody ask for update progress, without a token.
	ProgressOpen bool
	// TokenInQuery takes the token of the cloud sync API from the query too, as
	// token, for clients that cannot set a header, such as a browser's WebSocket.
	// It stands in the logs of proxies then.
	TokenInQuery bool
	// Items maps further itemIds of update progress to packages. A package's
	// name always means the package and cannot be mapped to another; "core",
	// unless it is such a name or stands in Items, means whatever is under
	// update.DefaultLock, which packages share by default.
	Items map[string]string
	// Tables are tables of LV that may be written to though nobody has done
	// so yet. Others are not found until the program itself writes to them.
	// An App has no slash.
	Tables []lv.TableID
	// Environments decides whether a principal may act, or look, in an
	// environment of Rollout, "" for services without one: ErrForbidden if not.
	// Default: in those that its Scopes name, in all if that is nil.
	Environments func(ctx context.Context, p Principal, env string) error
	// Prefix comes before every route, such as "/svc": what the path of a
	// request begins with when it comes to the Adapter, or to the handlers
	// that Register has registered. Default none. So below a path
	//
	//	api.Register(mux)                                   // "/svc", a ServeMux or chi
	//	mux.Handle("/svc/", api)                            // "/svc"
	//	mux.Handle("/svc/", http.StripPrefix("/svc", api))  // none
	//	r.Mount("/svc", api)                                // "/svc", r is chi's router
	//	r.Any("/svc/*rest", gin.WrapH(api))                 // "/svc"
	//	e.Any("/svc/*", echo.WrapHandler(api))              // "/svc"
	//
	// and without one
	//
	//	api.Register(mux)                   // a ServeMux or chi, beside your own routes
	//	r.Mount("/", api)                   // chi
	//	r.NoRoute(gin.WrapH(api))           // gin
	//	e.Any("/*", echo.WrapHandler(api))  // echo
	Prefix string
	// TrustedOrigins, such as "https://admin.example", may send cross-site
	// requests that change something.
	TrustedOrigins []string
	// Limits bound what comes from outside. Default: see Limits.
	Limits Limits
	// Observe is called once for each request, when it is known who asks or
	// that it is refused, and returns the context to go on with and what to
	// call after the reply with its HTTP status. P is empty for a refused
	// request, and the methods of r for an unknown path. For metrics and
	// traces. Default: nothing.
	Observe func(ctx context.Context, r Route, p Principal) (context.Context, func(status int))
	// Logger receives errors that are not told to callers, why a documented route
	// refuses where its document has no room for that (not of who is not known),
	// and a warning when Limits.Logins begins to slow down an address. Of the
	// refusals of one principal and route it gets each once in a minute, and at
	// most ten; the next says how many were left out (left_out). Default:
	// slog.Default.
	Logger *slog.Logger
}

// domains return what each domain serves, nothing if it has no service, and
// check what the Config says of it.
var domains = []func(Config) (web.API, error){updateAPI, lvAPI, firmwareAPI, rolloutAPI, syncAPI}

// Limits bound what comes from outside. A zero field means its default.
type Limits struct {
	Body             int64 // bytes of a body; default 64 KiB, 1 MiB for lv
	Image            int64 // bytes of a bundle of firmware, with what is around it in its form; default 4 GiB
	Streams          int   // open event streams in all; default 256
	PrincipalStreams int   // open event streams of one principal; default 16
	// Replies is how many replies of more than 64 KiB are sent at once; default
	// 64. A further one waits for 5 seconds, and is then refused with 503 and a
	// Retry-After. Who waits longest is next. One principal has half of them at
	// most, but always one, so that others get theirs: of 1, it has all. Each takes about so much memory, and that of an item or of what a
	// store reads at a time, however long it is.
	Replies int
	// Logins is how many failed logins a minute one remote address has before
	// it is slowed, IPv6 addresses by their /64; default 10, negative for no
	// limit. A failed login is an ErrBadCredential: a request without a credential, or with an
	// empty one, is refused and not counted. No more credentials of an address
	// are checked at the same time; further ones wait. A good credential passes
	// also when no tries are left: at once if it has passed before, else in its
	// turn. Then one is checked at a time, a bad one is answered with 429 and is
	// followed by a second in which none is, and who has waited for 5 seconds is
	// answered with 429 too, unchecked. The process forgets what has passed when it
	// ends: after a restart that may be a good credential, for as long as others
	// guess from its address. What other sites make a browser send is
	// counted apart, and uses up none of these tries. Behind a proxy every
	// request has the proxy's address, unless a middleware before the Adapter
	// sets Request.RemoteAddr.
	Logins int
	// Event is how many bytes of contents, ids and the like an event of lv may
	// have: a release of very many rows. In the place of a longer one the feed
	// sends "compacted" under its id, and whoever gets that reads the snapshot,
	// which is sent row by row. Default 16 MiB.
	Event int64
}

// Mux is what routes are registered on: an *http.ServeMux, or what has its
// Handle and its patterns, such as chi's router. Ids come from the path of the
// request, whatever a router makes of it. Only for a ServeMux is a path that
// ends in "/" all that is below it: elsewhere the router itself answers what is
// unknown there. Mount the Adapter, an http.Handler, on every other router.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Adapter is the routes. It is an http.Handler, for every router that is no
// ServeMux: Config.Prefix shows how to mount it. It owns no goroutine but those
// of open event streams, which end with their requests.
type Adapter struct {
	config Config
	apis   []web.API
	server *web.Server
}

// New returns an Adapter. It starts nothing.
func New(c Config) (*Adapter, error) {
	a := &Adapter{config: c, apis: []web.API{common}}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("httpadapter: %w", err)
	}
	if _, everybody := a.config.Auth.(AllowAll); everybody {
		a.config.Logger.Warn("httpadapter: everybody may do everything: Config.Auth is AllowAll")
	}
	return a, nil
}

func (a *Adapter) open() (err error) {
	if err := a.config.complete(); err != nil {
		return err
	}
	for _, domain := range domains {
		api, err := domain(a.config)
		if err != nil {
			return err
		}
		if api.Routes != nil {
			a.apis = append(a.apis, api)
		}
	}
	if len(a.apis) == 1 {
		return errors.New("Config has no service to serve")
	}
	a.server, err = a.config.serve(a.apis...)
	return err
}

// complete checks the Config, but for what is of a domain, and fills in the
// defaults.
func (c *Config) complete() error {
	if c.Prefix != "" && (c.Prefix == "/" || path.Clean("/"+c.Prefix) != c.Prefix || strings.ContainsAny(c.Prefix, "{} \t?#%")) {
		return fmt.Errorf("bad prefix %q: want something like /svc", c.Prefix)
	}
	if secrets, ok := c.Auth.(Secrets); ok {
		if _, empty := secrets[""]; empty {
			return errors.New("a secret is empty")
		}
	}
	if c.Auth == nil {
		c.Auth = denyAll{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	l := &c.Limits
	if l.Body < 0 || l.Streams < 0 || l.PrincipalStreams < 0 || l.Replies < 0 || l.Event < 0 || l.Image < 0 {
		return errors.New("a limit is negative")
	}
	l.Streams = cmp.Or(l.Streams, 256)
	l.PrincipalStreams = cmp.Or(l.PrincipalStreams, 16)
	l.Replies = cmp.Or(l.Replies, 64)
	l.Logins = cmp.Or(l.Logins, 10)
	l.Event = cmp.Or(l.Event, 16<<20)
	l.Image = cmp.Or(l.Image, 4<<30)
	return nil
}

// Register registers every route, and below the paths of each API everything
// that is unknown, so that it is answered in the API's envelope. The patterns
// have no method, so that a ServeMux panics if it has one of yours with a method
// that matches their paths too. Instead of "GET /" register "/", or "GET /{$}" if
// it is for the home page alone; instead of "GET /{page}" register "/{page}", or
// mount the Adapter below a path of its own (Config.Prefix).
func (a *Adapter) Register(m Mux) { a.server.Register(m.Handle) }

// ServeHTTP serves every route, and answers everything else with a problem of
// status 404.
func (a *Adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.server.ServeHTTP(w, r) }

// Routes returns the table from which routes, openapi.json and tests come.
func (a *Adapter) Routes() []Route {
	var routes []Route
	for _, r := range a.server.Routes() {
		route := routeOf(&r)
		route.Methods = slices.Clone(r.Methods)
		routes = append(routes, route)
	}
	return routes
}
