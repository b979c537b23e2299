package httpadapter

import (
	"context"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/update"
)

// Scan and Bind are the two halves of the JSON decoder.
var Scan = scan

// Bind fills the struct that v points to from scanned text.
func Bind(text []byte, v any) error { return bind(text, reflect.ValueOf(v).Elem()) }

// Add adds a route of our own kind to the table. It decodes an object if there
// is a body, calls handle, and answers 200.
func (a *Adapter) Add(r Route, handle func(w http.ResponseWriter, r *http.Request)) {
	a.add(r, func(c *call) error {
		var b reasonBody
		if c.route.body > 0 {
			if err := c.decodeOptional(&b); err != nil {
				return err
			}
		}
		handle(c.w, c.r)
		if c.status != 0 {
			return nil
		}
		return c.reply(http.StatusOK, b)
	})
}

// AddBare adds a route whose handler sees to everything that comes after the
// credential, ids and body included.
func (a *Adapter) AddBare(r Route, handle func(w http.ResponseWriter, r *http.Request)) {
	a.add(r, func(c *call) error {
		c.status = http.StatusOK // of our own
		handle(c.w, c.r)
		return nil
	})
	a.routes[len(a.routes)-1].ids = nil
}

// AddStream adds a stream of n events, which goes on to wait for more.
func (a *Adapter) AddStream(r Route, events func(ctx context.Context, after int64) iter.Seq2[int64, error]) {
	a.add(r, func(c *call) error {
		after, err := c.resumeAt()
		if err != nil {
			return err
		}
		return c.stream(after, func(ctx context.Context, after int64) iter.Seq2[event, error] {
			return func(yield func(event, error) bool) {
				for id, err := range events(ctx, after) {
					if !yield(event{id: id, name: "added", data: object{"text": strings.Repeat("x", 9<<10)}}, err) {
						return
					}
				}
			}
		}, update.ErrCompacted)
	})
	a.routes[len(a.routes)-1].gives = eventReply{}
}

// add adds a route that reads a body, unless one of its methods is GET.
func (a *Adapter) add(r Route, handle func(*call) error) {
	added := route{Route: r, speaks: own, ids: pathNames(r.Pattern), gives: reasonBody{}, handle: handle}
	if !slices.Contains(r.Methods, http.MethodGet) {
		added.body, added.takes = a.config.Limits.Body, reasonBody{}
	}
	a.mount(append(a.routes, added))
}

// Wire is what the table says of how a route is spoken.
type Wire struct {
	Body    int64 // bytes of a body at most; 0: none is read
	Form    bool  // which may be a form
	Plain   bool  // whose Content-Type does not matter
	Stream  bool  // the reply does not end
	Query   []string
	Members map[string]string // of the body, to what JSON calls them; "": anything
}

// Wire returns what the table says of the route with this pattern and method.
func (a *Adapter) Wire(pattern, method string) Wire {
	r, err := a.mounted[pattern].route(method)
	if err != nil {
		return Wire{}
	}
	w := Wire{Body: r.body, Form: r.form, Plain: r.plain, Members: map[string]string{}}
	w.Stream = r.replies()["text/event-stream"] != nil
	for _, f := range r.query {
		w.Query = append(w.Query, f.name)
	}
	if r.takes != nil {
		properties, _ := schemaOf(reflect.TypeOf(r.takes))["properties"].(object)
		for name, property := range properties {
			kind, _ := property.(object)["type"].(string)
			w.Members[name] = kind
		}
	}
	return w
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
