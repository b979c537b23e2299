package httpadapter

import (
	"net/http"
	"reflect"
)

// Scan and Bind are the two halves of the JSON decoder.
var Scan = scan

// Bind fills the struct that v points to from scanned text.
func Bind(text []byte, v any) error { return bind(text, reflect.ValueOf(v).Elem()) }

// Add adds a route of our own kind to the table. Its handler decodes an object
// if there is a body, and answers 200.
func (a *Adapter) Add(r Route, handle func(w http.ResponseWriter, r *http.Request)) {
	a.mount(append(a.routes, route{
		Route: r, speaks: own, ids: pathNames(r.Pattern), body: a.config.Limits.Body, takes: struct{}{}, gives: struct{}{},
		handle: func(c *call) error {
			var b struct{}
			if err := c.decodeOptional(&b); err != nil {
				return err
			}
			handle(c.w, c.r)
			return c.reply(http.StatusOK, b)
		},
	}))
}

// TakesBody reports whether the route with this pattern and method reads a body.
func (a *Adapter) TakesBody(pattern, method string) bool { return a.BodyLimit(pattern, method) > 0 }

// BodyLimit returns how many bytes of a body it reads at most.
func (a *Adapter) BodyLimit(pattern, method string) int64 {
	r, err := a.mounted[pattern].route(method)
	if err != nil {
		return 0
	}
	return r.body
}

// Addresses returns how many addresses with failed logins are remembered.
func (a *Adapter) Addresses() int {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	return len(a.logins.young) + len(a.logins.old)
}

// Attempts returns how many addresses have credentials that are being checked.
func (a *Adapter) Attempts() int {
	a.logins.mu.Lock()
	defer a.logins.mu.Unlock()
	return len(a.logins.trying)
}

// OpenStreams returns how many event streams are open.
func (a *Adapter) OpenStreams() int {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	return a.streams.sum
}
