package web

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
)

// Config is how the routes of a Server are served. Every field is needed, but
// for those that say otherwise.
type Config struct {
	// Prefix comes before every pattern and every tree; "" is none.
	Prefix string
	// Other answers what is under no tree at all.
	Other *Dialect
	// Identify says whose a credential is. Its errors are those of
	// identification, which this package has, or failures of ours.
	Identify func(ctx context.Context, r *Route, c Credential) (Who, error)
	// Observe is told of each request when it is known who asks, or that it is
	// refused, and may be nil. Of an unknown path or method R has only API and
	// Pattern.
	Observe func(ctx context.Context, r *Route, who Who) (context.Context, func(status int))
	// Level names a level, for openapi.json.
	Level func(level int) string
	// TrustedOrigins may send cross-site requests that change something; nil is none.
	TrustedOrigins []string
	Streams        int // open event streams in all
	EachStreams    int // open event streams of one of those who ask
	Replies        int // long replies at once, of which one of those who ask has half, at least 1
	Logins         int // failed logins a minute of one address; negative: no limit
	Logger         *slog.Logger
}

// Who is who asks.
type Who struct {
	ID    string // "" for nobody
	Level int    // in the API of the route
	Known any    // the rest of what Identify knows, for Observe
}

// Credential is what a request carried. A field that an API does not have is
// empty.
type Credential struct {
	Secret string
	Place  string // where it stood, for a BadCredentialError; "": that is not told
	ID     string
	App    string
	Schema string
	Actor  string
}

// Server serves the routes of APIs. It is an http.Handler, and owns no
// goroutine but those of open event streams, which end with their requests.
type Server struct {
	config  Config
	log     *slog.Logger
	routes  []Route
	about   map[string]string    // what the APIs are
	mounted map[string]*endpoint // by pattern
	mux     *http.ServeMux       // the same, for ServeHTTP
	origins *http.CrossOriginProtection
	logins  *loginLimiter
	streams *limiter
	replies *limiter // the long ones
	heard   hearing  // that the log has
	lives   lives    // of the servers that have WebSockets

	description func() Encoded // openapi.json, made once
}

// New returns a Server of these APIs. The error is about a trusted origin.
func New(c Config, apis ...API) (*Server, error) {
	s := &Server{
		config:  c,
		log:     c.Logger,
		origins: http.NewCrossOriginProtection(),
		logins:  newLoginLimiter(c.Logins, c.Logger),
		streams: newLimiter(c.Streams, c.EachStreams),
		replies: newLimiter(c.Replies, max(1, c.Replies/2)),
		mux:     http.NewServeMux(),
		about:   map[string]string{},
	}
	for _, origin := range c.TrustedOrigins {
		if err := s.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted origin %q: %w", origin, err)
		}
	}
	trees := map[string]*Dialect{}
	for _, api := range apis {
		for path, speaks := range api.Trees {
			trees[path] = speaks
		}
		for _, r := range api.Routes {
			s.about[r.API] = cmp.Or(s.about[r.API], api.About)
			r.ids = pathNames(r.Pattern)
			r.Pattern = c.Prefix + r.Pattern
			s.routes = append(s.routes, r)
		}
	}
	s.description = sync.OnceValue(func() Encoded { return slices.Clip(Encode(s.openapi())) }) // shared by replies
	s.mounted = s.endpoints(trees)
	s.Register(s.mux.Handle)
	s.mux.Handle("/", &endpoint{server: s, pattern: "/", speaks: c.Other})
	return s, nil
}

// Routes returns the table, whose rows nobody may change.
func (s *Server) Routes() []Route { return s.routes }

// Register calls handle for the pattern of every route and of every tree.
func (s *Server) Register(handle func(pattern string, h http.Handler)) {
	for pattern, e := range s.mounted {
		handle(pattern, e)
	}
}

// ServeHTTP serves every route, and answers everything else with a failure of
// status 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	clean := path.Clean("/" + escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	if clean != escaped {
		s.unclean(clean).ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unclean answers a path such as /lv//x, which is no path of ours, in the
// envelope of the API that the clean path belongs to. A ServeMux would
// redirect, in HTML.
func (s *Server) unclean(clean string) http.Handler {
	unknown := &endpoint{server: s, pattern: "/", speaks: s.config.Other}
	h, _ := s.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: clean}})
	if e, ok := h.(*endpoint); ok {
		unknown.pattern, unknown.speaks = e.pattern, e.speaks
	}
	return unknown
}

// Open is how much is being served.
type Open struct {
	Streams   int // event streams
	Addresses int // remote addresses with failed logins that are remembered
	Attempts  int // remote addresses with credentials that are being checked
}

// Open counts what is being served.
func (s *Server) Open() (o Open) {
	s.streams.mu.Lock()
	o.Streams = s.streams.sum
	s.streams.mu.Unlock()
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	o.Addresses = len(s.logins.buckets.young) + len(s.logins.buckets.old)
	o.Attempts = len(s.logins.trying)
	return o
}
