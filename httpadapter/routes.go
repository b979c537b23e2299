package httpadapter

import (
	"net/http"
	"slices"
	"strings"
)

// API names one of the documented APIs, or the library's own.
type API string

// The APIs. Routes of a domain under /upkeep/v1/ count as the domain's API.
const (
	UpkeepAPI API = "upkeep" // what belongs to no domain
	UpdateAPI API = "update" // WNCMS Updates API
	LVAPI     API = "lv"     // row-version API of Wuji
)

// Route is one route.
type Route struct {
	API     API
	Methods []string // exactly these: HEAD is served only where it stands here
	Pattern string   // of net/http, without a method, with Config.Prefix
	Needs   Role     // Nobody: no credential is asked for
	Changes bool     // changes state: refused cross-site, whatever the method
	Summary string
}

// route is a row of the table: a Route and how it is served.
type route struct {
	Route
	speaks dialect
	ids    []string // the names of the pattern's wildcards
	body   int64    // bytes of a body at most; 0: none is read
	form   bool     // the body may be a form
	plain  bool     // the body is JSON whatever its Content-Type says
	slow   bool     // the reply may take longer than the server's WriteTimeout
	query  []field  // query parameters, for openapi.json
	takes  any      // a body of the zero value, for openapi.json
	gives  any      // a reply, for openapi.json
	handle func(*call) error
}

// field is a query parameter.
type field struct{ name, about string }

// dialect is how an API is spoken.
type dialect struct {
	api API
	// credential takes the credential out of a request. Its errors are
	// those of an Authenticator, or refusals.
	credential func(*call) (Credential, error)
	// failure says in the API's own envelope what went wrong. It returns
	// false for an error it does not know; it knows every refusal and every
	// error of an Authenticator.
	failure func(error) (answer, bool)
	// fails is an empty body of such a failure, for openapi.json.
	fails any
	// bearer is true if the credential is a bearer token, for openapi.json.
	bearer bool
}

// answer is a whole reply.
type answer struct {
	status int
	media  string // Content-Type; default application/json
	body   any    // encoded as JSON, unless it is encoded; nil: none
	// challenge is what a 401 asks for in WWW-Authenticate, if anything.
	challenge string
}

// table is the route table: everything that is served. Registration,
// dispatch by method, openapi.json and the tests come from it.
func (a *Adapter) table() []route {
	routes := []route{a.openapiRoute()}
	if a.config.Update != nil {
		u := &updateAPI{updates: a.config.Update, items: a.config.Items}
		routes = append(routes, u.documentedRoutes(a.config)...)
		routes = append(routes, u.ownRoutes(a.config)...)
	}
	if a.config.LV != nil {
		l := newLVAPI(a.config)
		routes = append(routes, l.documentedRoutes()...)
		routes = append(routes, l.ownRoutes()...)
	}
	for i := range routes {
		routes[i].ids = pathNames(routes[i].Pattern)
		routes[i].Pattern = a.config.Prefix + routes[i].Pattern
	}
	return routes
}

// subtrees are the paths under which everything unknown is answered in the
// envelope of an API.
func (a *Adapter) subtrees() map[string]dialect {
	trees := map[string]dialect{"/upkeep/v1": own}
	if a.config.Update != nil {
		trees["/api/v1/update"] = wncms
	}
	if a.config.LV != nil {
		trees["/lv"], trees["/api/lv"] = wuji, wuji
	}
	return trees
}

// endpoint serves one pattern: the routes that differ in their methods, or
// none, where everything is unknown.
type endpoint struct {
	adapter *Adapter
	pattern string
	speaks  dialect
	routes  []*route
	allow   string // the methods, as in the Allow header
}

// endpoints returns the pattern of everything that is served with its endpoint.
func (a *Adapter) endpoints() map[string]*endpoint {
	all := map[string]*endpoint{}
	add := func(pattern string, speaks dialect) *endpoint {
		e := all[pattern]
		if e == nil {
			e = &endpoint{adapter: a, pattern: pattern, speaks: speaks}
			all[pattern] = e
		}
		return e
	}
	for i := range a.routes {
		r := &a.routes[i]
		e := add(r.Pattern, r.speaks)
		e.routes = append(e.routes, r)
	}
	for path, speaks := range a.subtrees() {
		add(a.config.Prefix+path, speaks)
		add(a.config.Prefix+path+"/", speaks)
	}
	for _, e := range all {
		var methods []string
		for _, r := range e.routes {
			methods = append(methods, r.Methods...)
		}
		slices.Sort(methods)
		e.allow = strings.Join(methods, ", ")
	}
	return all
}

// route returns the route of a method.
func (e *endpoint) route(method string) (*route, error) {
	for _, r := range e.routes {
		if slices.Contains(r.Methods, method) {
			return r, nil
		}
	}
	if len(e.routes) == 0 {
		return nil, unknownPath
	}
	return nil, badMethod
}

// reading are the methods of a route that only looks.
var reading = []string{http.MethodGet, http.MethodHead}
