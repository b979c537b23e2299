package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/lv"
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

	// Auth decides about every request. Default: refuse all.
	Auth Authenticator
	// ProgressOpen lets anybody ask for update progress, without a token.
	ProgressOpen bool
	// Items maps further itemIds of update progress to packages. A package's
	// name always means the package and cannot be mapped to another; "core",
	// unless it is such a name or stands in Items, means whatever is under
	// update.DefaultLock, which packages share by default.
	Items map[string]string
	// Tables are tables of LV that may be written to though nobody has done
	// so yet. Others are not found until the program itself writes to them.
	// An App has no slash.
	Tables []lv.TableID
	// Prefix comes before every route, such as "/svc": what the path of a
	// request begins with when it comes to the Adapter, or to the handlers
	// that Register has registered. Default none. So below a path
	//
	//	api.Register(mux)                                   // "/svc"
	//	mux.Handle("/svc/", api)                            // "/svc"
	//	mux.Handle("/svc/", http.StripPrefix("/svc", api))  // none
	//	r.Mount("/svc", api)                                // "/svc", r is chi's router
	//	r.Any("/svc/*rest", gin.WrapH(api))                 // "/svc"
	//	e.Any("/svc/*", echo.WrapHandler(api))              // "/svc"
	//
	// and without one
	//
	//	api.Register(mux)                   // a ServeMux, beside your own routes
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
	// Logger receives errors that are not told to callers, and a warning when
	// Limits.Logins begins to refuse an address. Default: slog.Default.
	Logger *slog.Logger
}

// Limits bound what comes from outside. A zero field means its default.
type Limits struct {
	Body             int64 // bytes of a body; default 64 KiB, 1 MiB for lv
	Streams          int   // open event streams in all; default 256
	PrincipalStreams int   // open event streams of one principal; default 16
	// Logins is how many failed logins a minute one remote address has,
	// IPv6 addresses by their /64; default 10, negative for no limit. A failed
	// login is an ErrBadCredential: a request without a credential, or with an
	// empty one, is refused and not counted. No more
	// credentials of an address are checked at the same time; further ones
	// wait. Behind a proxy every request has the proxy's address, unless a
	// middleware before the Adapter sets Request.RemoteAddr.
	Logins int
	// Event is how many bytes of contents, ids and the like an event of lv may
	// have: a release of very many rows. In the place of a longer one the feed
	// sends "compacted" under its id, and whoever gets that reads the snapshot,
	// which is sent row by row. Default 16 MiB.
	Event int64

	large int64 // bytes of a body of lv
}

// Mux is what routes are registered on: an *http.ServeMux, or what forwards to
// one. Mount the Adapter itself, an http.Handler, on every other router, those
// with such a Handle included: ids are read as a ServeMux hands them over, and
// a path that ends in "/" is all that is below it.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Adapter is the routes. It is an http.Handler, for every router that is no
// ServeMux: Config.Prefix shows how to mount it. It owns no goroutine but those of open event streams, which end with their
// requests.
type Adapter struct {
	config  Config
	log     *slog.Logger
	routes  []route
	mounted map[string]*endpoint // by pattern
	mux     *http.ServeMux       // the same, for ServeHTTP
	origins *http.CrossOriginProtection
	logins  *loginLimiter
	streams *streamLimiter
}

// New returns an Adapter. It starts nothing.
func New(c Config) (*Adapter, error) {
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("httpadapter: %w", err)
	}
	a := &Adapter{
		config:  c,
		log:     c.Logger,
		origins: http.NewCrossOriginProtection(),
		logins:  newLoginLimiter(c.Limits.Logins, c.Logger),
		streams: newStreamLimiter(c.Limits),
	}
	for _, origin := range c.TrustedOrigins {
		if err := a.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("httpadapter: trusted origin %q: %w", origin, err)
		}
	}
	a.mount(a.table())
	if _, open := c.Auth.(AllowAll); open {
		a.log.Warn("httpadapter: everybody may do everything: Config.Auth is AllowAll")
	}
	return a, nil
}

// mount makes these routes the ones that are served.
func (a *Adapter) mount(routes []route) {
	a.routes = routes
	a.mounted = a.endpoints()
	a.mux = http.NewServeMux()
	a.Register(a.mux)
	a.mux.Handle("/", &endpoint{adapter: a, pattern: "/", speaks: own})
}

// complete checks the Config and fills in the defaults.
func (c *Config) complete() error {
	if c.Update == nil && c.LV == nil {
		return errors.New("Config has no service to serve")
	}
	if c.Prefix != "" && (c.Prefix == "/" || path.Clean("/"+c.Prefix) != c.Prefix || strings.ContainsAny(c.Prefix, "{} \t?#%")) {
		return fmt.Errorf("bad prefix %q: want something like /svc", c.Prefix)
	}
	c.Items = maps.Clone(c.Items)
	var packages []string
	if c.Update != nil {
		packages = c.Update.Packages()
	}
	for item, pkg := range c.Items {
		switch {
		case item == "":
			return fmt.Errorf("the item of package %q is empty", pkg)
		case !slices.Contains(packages, pkg):
			return fmt.Errorf("item %q: no package %q", item, pkg)
		case item != pkg && slices.Contains(packages, item):
			return fmt.Errorf("item %q is the name of a package and cannot mean package %q", item, pkg)
		}
	}
	c.Tables = slices.Clone(c.Tables)
	for _, id := range c.Tables {
		if c.LV == nil || checkApp(id.App) != nil || checkID(id.Schema) != nil {
			return fmt.Errorf("table %q of %q: no name of a table, or no LV", id.Schema, id.App)
		}
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
	if l.Body < 0 || l.Streams < 0 || l.PrincipalStreams < 0 || l.Event < 0 {
		return errors.New("a limit is negative")
	}
	l.large = cmp.Or(l.Body, 1<<20)
	l.Body = cmp.Or(l.Body, 64<<10)
	l.Streams = cmp.Or(l.Streams, 256)
	l.PrincipalStreams = cmp.Or(l.PrincipalStreams, 16)
	l.Logins = cmp.Or(l.Logins, 10)
	l.Event = cmp.Or(l.Event, 16<<20)
	return nil
}

// Register registers every route, and below the paths of each API everything
// that is unknown, so that it is answered in the API's envelope. The patterns
// have no method, so that a ServeMux panics if it has one of yours with a method
// that matches their paths too. Instead of "GET /" register "/", or "GET /{$}" if
// it is for the home page alone; instead of "GET /{page}" register "/{page}", or
// mount the Adapter below a path of its own (Config.Prefix).
func (a *Adapter) Register(m Mux) {
	for pattern, e := range a.mounted {
		m.Handle(pattern, e)
	}
}

// ServeHTTP serves every route, and answers everything else with a problem of
// status 404.
func (a *Adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	clean := path.Clean("/" + escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	if clean != escaped {
		a.unclean(clean).ServeHTTP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// unclean answers a path such as /lv//x, which is no path of ours, in the
// envelope of the API that the clean path belongs to. A ServeMux would
// redirect, in HTML.
func (a *Adapter) unclean(clean string) http.Handler {
	unknown := &endpoint{adapter: a, pattern: "/", speaks: own}
	h, _ := a.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: clean}})
	if e, ok := h.(*endpoint); ok {
		unknown.pattern, unknown.speaks = e.pattern, e.speaks
	}
	return unknown
}

// Routes returns the table from which routes, openapi.json and tests come.
func (a *Adapter) Routes() []Route {
	routes := make([]Route, len(a.routes))
	for i, r := range a.routes {
		routes[i] = r.Route
		routes[i].Methods = slices.Clone(r.Methods)
	}
	return routes
}
