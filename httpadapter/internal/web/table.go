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
func (t Table) See(pattern, summary string, gives any, handle func(*Call) error, query ...Field) Route {
	return Route{
		API: t.Speaks.API, Methods: Reading, Pattern: t.Root + pattern, Needs: t.Sees, Summary: summary,
		Speaks: t.Speaks, Query: append(query, t.Query...), Gives: gives, Handle: handle,
	}
}

// Whole is a route that only looks and whose reply has to be made to be known:
// a HEAD would have to wait for all of it.
func (t Table) Whole(pattern, summary string, gives any, handle func(*Call) error, query ...Field) Route {
	r := t.See(pattern, summary, gives, handle, query...)
	r.Methods = Reading[:1]
	return r
}

// Follow is a route that streams events.
func (t Table) Follow(pattern, summary string, gives any, handle func(*Call) error, query ...Field) Route {
	r := t.Whole(pattern, summary, gives, handle, append([]Field{{"after",
		"begin after the event with this seq; default: now; Last-Event-ID goes before it; compacted says that it is not there"}}, query...)...)
	r.Stream = true
	return r
}

// Change is a route that changes something.
func (t Table) Change(method, pattern, summary string, takes, gives any, handle func(*Call) error) Route {
	return Route{
		API: t.Speaks.API, Methods: []string{method}, Pattern: t.Root + pattern, Needs: t.Changes, Changes: true, Summary: summary,
		Speaks: t.Speaks, Query: t.Query, Body: t.Body, Takes: takes, Gives: gives, Handle: handle,
	}
}

// Post is Change by a POST.
func (t Table) Post(pattern, summary string, takes, gives any, handle func(*Call) error) Route {
	return t.Change(http.MethodPost, pattern, summary, takes, gives, handle)
}
