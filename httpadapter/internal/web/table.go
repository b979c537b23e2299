package web

import "net/http"

// Table makes rows of our own routes: those below one path.
type Table struct {
	Root    string // the path
	Speaks  *Dialect
	Sees    int     // the level that a route needs which only looks
	Changes int     // and one that changes something
	Body    int64   // bytes of a body at most
	Query   []Field // what every route has in its query
}

// See is a route that only looks.
func (t Table) See(name, pattern, summary string, gives any, handle func(*Call) error, query ...Field) Route {
	return Route{
		Name: name, API: t.Speaks.API, Methods: Reading, Pattern: t.Root + pattern, Needs: t.Sees, Summary: summary,
		Speaks: t.Speaks, Query: append(query, t.Query...), Gives: gives, Handle: handle,
	}
}

// SeeByGet is a route that only looks and whose reply has to be made to be known:
// a HEAD would have to wait for all of it.
func (t Table) SeeByGet(name, pattern, summary string, gives any, handle func(*Call) error, query ...Field) Route {
	r := t.See(name, pattern, summary, gives, handle, query...)
	r.Methods = Reading[:1]
	return r
}

// Follow is a route that streams events.
func (t Table) Follow(name, pattern, summary string, gives any, handle func(*Call) error, query ...Field) Route {
	r := t.SeeByGet(name, pattern, summary, gives, handle, append([]Field{Whole("after",
		"begin after the event with this seq; default: now; Last-Event-ID goes before it; compacted says that it is not there", 0)}, query...)...)
	r.Stream = true
	return r
}

// Change is a route that changes something.
func (t Table) Change(name, method, pattern, summary string, takes, gives any, handle func(*Call) error) Route {
	return Route{
		Name: name, API: t.Speaks.API, Methods: []string{method}, Pattern: t.Root + pattern, Needs: t.Changes, Changes: true, Summary: summary,
		Speaks: t.Speaks, Query: t.Query, Body: t.Body, Takes: takes, Gives: gives, Handle: handle,
	}
}

// With returns the route as one whose success has these statuses.
func (r Route) With(done ...int) Route {
	r.Done = done
	return r
}

// Asks returns the route with this in its query, and nothing else.
func (r Route) Asks(query ...Field) Route {
	r.Query = query
	return r
}

// Post is Change by a POST.
func (t Table) Post(name, pattern, summary string, takes, gives any, handle func(*Call) error) Route {
	return t.Change(name, http.MethodPost, pattern, summary, takes, gives, handle)
}
