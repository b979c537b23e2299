package httpadapter

import (
	"context"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// API names one of the documented APIs, or the library's own.
type API string

// UpkeepAPI is what belongs to no domain. Routes of a domain under /upkeep/v1/
// count as the domain's API.
const UpkeepAPI API = "upkeep"

// Route is one route.
type Route struct {
	API     API
	Methods []string // exactly these: HEAD is served only where it stands here
	Pattern string   // of net/http, without a method, with Config.Prefix
	Needs   Role     // Nobody: no credential is asked for
	Changes bool     // changes state: refused cross-site, whatever the method
	Summary string
}

// routeOf is what users see of a row of the table.
func routeOf(r *web.Route) Route {
	return Route{API(r.API), r.Methods, r.Pattern, Role(r.Needs), r.Changes, r.Summary}
}

// own is how the routes are spoken that belong to no domain.
var own = web.Own(string(UpkeepAPI), nil)

// common are the routes that belong to no domain.
var common = web.API{
	About: "What belongs to no domain",
	Routes: []web.Route{{
		Name: "getDescription", API: string(UpkeepAPI), Methods: web.Reading, Pattern: "/upkeep/v1/openapi.json",
		Needs: int(Reader), Summary: "Describe every route as OpenAPI 3.1",
		Speaks: own, Gives: map[string]any{}, Handle: (*web.Call).Describe,
	}},
	Trees: map[string]*web.Dialect{"/upkeep/v1": own},
}

// serve returns the Server of these APIs: all that is between the types that
// users name and those of package web.
func (c Config) serve(apis ...web.API) (*web.Server, error) {
	w := web.Config{
		Prefix: c.Prefix, Other: own, TrustedOrigins: c.TrustedOrigins, Logger: c.Logger,
		Streams: c.Limits.Streams, EachStreams: c.Limits.PrincipalStreams, Replies: c.Limits.Replies, Logins: c.Limits.Logins,
		Level: func(level int) string { return Role(level).String() },
		Identify: func(ctx context.Context, r *web.Route, sent web.Credential) (web.Who, error) {
			p, err := c.Auth.Authenticate(ctx, Credential{API(r.API), sent.Secret, sent.ID, sent.App, sent.Schema, sent.Actor}, Role(r.Needs))
			return web.Who{ID: p.ID, Level: int(p.In(API(r.API))), Known: p}, err
		},
	}
	if c.Observe != nil {
		w.Observe = func(ctx context.Context, r *web.Route, who web.Who) (context.Context, func(int)) {
			p, _ := who.Known.(Principal)
			return c.Observe(ctx, routeOf(r), p)
		}
	}
	return web.New(w, apis...)
}
