package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// API is what a domain serves, or another part of the program: its routes, and
// the paths under which everything unknown is answered in its envelope.
type API struct {
	About  string // for openapi.json
	Routes []Route
	Trees  map[string]*Dialect // by path, such as /lv
}

// Route is a row of the table: what is served, and how.
type Route struct {
	Name    string // of the operation in openapi.json, for generated clients
	API     string
	Methods []string // exactly these: HEAD is served only where it stands here
	Pattern string   // of net/http, without a method
	Needs   int      // the level of who asks; 0: no credential is asked for
	Changes bool     // changes state: refused cross-site, whatever the method
	Summary string

	Speaks *Dialect
	Body   int64   // bytes of a body at most; 0: none is read
	Form   bool    // the body may be a form
	File   bool    // the body is a form with a file, which Call.Upload reads
	Plain  bool    // the body is JSON whatever its Content-Type says
	Slow   bool    // the reply may take longer than the server's WriteTimeout
	Stream bool    // the reply is events, and does not end
	Socket bool    // the reply is a WebSocket, which no cross-site request gets
	Raw    bool    // the reply is bytes, and no JSON
	Bare   bool    // ids are not checked: Handle does
	Slash  bool    // the path may end in a slash, as it does where an optional id is left empty
	Query  []Field // and headers, for openapi.json
	Takes  any     // a body of the zero value, for openapi.json; nil: none
	Gives  any     // a reply, or an event, for openapi.json; nil: none
	Done   []int   // the statuses of success, for openapi.json: the first has the reply; default 200
	Handle func(*Call) error

	ids []string // the names of the pattern's wildcards
}

// Dialect is how an API is spoken.
type Dialect struct {
	API string
	// Credential takes the credential out of a request. Its errors are
	// those of identification, or refusals.
	Credential func(*Call) (Credential, error)
	// Failures are the errors that may be told, those of identification
	// included, and Refuse, which may be nil, those that say more by their type.
	Failures []Failure
	Refuse   func(error) *Refusal
	// Say puts a refusal into the API's own envelope. Err is what it is for.
	Say func(r *Refusal, err error) Answer
	// Terse tells that the envelope has no room for what happened: the log has
	// it, once it is known who asks.
	Terse bool
	Speech
}

// Answer is a whole reply.
type Answer struct {
	Status int
	Media  string // Content-Type; default application/json
	Body   any    // encoded as JSON, unless it is Encoded; nil: none
	// Challenge is what a 401 asks for in WWW-Authenticate, if anything.
	Challenge string
	// Retry is when to try again, for Retry-After; 0: no word of it.
	Retry time.Duration
}

// Reading are the methods of a route that only looks.
var Reading = []string{http.MethodGet, http.MethodHead}

// pathNames returns the names of a pattern's wildcards.
func pathNames(pattern string) []string {
	var names []string
	for segment := range strings.SplitSeq(pattern, "/") {
		if name, ok := wildcard(segment); ok {
			names = append(names, name)
		}
	}
	return names
}

// wildcard returns the name of a segment of a pattern that stands for an id.
func wildcard(segment string) (name string, ok bool) {
	name, ok = strings.CutPrefix(segment, "{")
	return strings.TrimSuffix(name, "}"), ok
}

// readPath takes the ids out of the path as it was sent. What a router hands
// over may be escaped or not, and the path may have more in front than the
// pattern has, or less: so segments are counted from the end.
func (c *Call) readPath() error {
	if len(c.Route.ids) == 0 {
		return nil
	}
	c.ids = make(map[string]string, len(c.Route.ids))
	sent := c.Request.URL.EscapedPath()
	if c.Route.Slash {
		sent = strings.TrimSuffix(sent, "/")
	}
	path, pattern := strings.Split(sent, "/"), strings.Split(c.Route.Pattern, "/")
	for i, segment := range pattern {
		at := len(path) - len(pattern) + i
		if at <= 0 || segment == "" {
			continue
		}
		text, err := url.PathUnescape(path[at])
		name, isID := wildcard(segment)
		switch {
		case isID && err != nil:
			return BadID
		case isID:
			c.ids[name] = text
		case c.Route.Slash && text != segment: // to a router a slash is all that is below it
			return UnknownPath
		}
	}
	for _, name := range c.Route.ids {
		if err := CheckID(c.ids[name]); err != nil && !c.Route.Bare {
			return err
		}
	}
	return nil
}

// ID returns the id that stands in the path for a wildcard of the route's
// pattern, "" if the pattern has no such wildcard.
func (c *Call) ID(name string) string { return c.ids[name] }

// endpoint serves one pattern: the routes that differ in their methods, or
// none, where everything is unknown.
type endpoint struct {
	server  *Server
	pattern string
	speaks  *Dialect
	routes  []*Route
	allow   string // the methods, as in the Allow header
}

// endpoints returns the pattern of everything that is served with its endpoint.
func (s *Server) endpoints(trees map[string]*Dialect) map[string]*endpoint {
	all := map[string]*endpoint{}
	add := func(pattern string, speaks *Dialect) *endpoint {
		e := all[pattern]
		if e == nil {
			e = &endpoint{server: s, pattern: pattern, speaks: speaks}
			all[pattern] = e
		}
		return e
	}
	for i := range s.routes {
		r := &s.routes[i]
		patterns := []string{r.Pattern}
		if r.Slash {
			patterns = append(patterns, r.Pattern+"/")
		}
		for _, pattern := range patterns {
			e := add(pattern, r.Speaks)
			e.routes = append(e.routes, r)
		}
	}
	for path, speaks := range trees {
		add(s.config.Prefix+path, speaks)
		add(s.config.Prefix+path+"/", speaks)
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
func (e *endpoint) route(method string) (*Route, error) {
	for _, r := range e.routes {
		if slices.Contains(r.Methods, method) {
			return r, nil
		}
	}
	if len(e.routes) == 0 {
		return nil, UnknownPath
	}
	return nil, BadMethod
}
