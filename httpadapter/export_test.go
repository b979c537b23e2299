package httpadapter

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/update"
)

// Add adds a route of our own kind to the table. It decodes an object if there
// is a body, calls handle, and answers 200.
func (a *Adapter) Add(r Route, handle func(w http.ResponseWriter, r *http.Request)) {
	a.add(r, web.Route{Handle: func(c *web.Call) error {
		var b reasonBody
		if c.Route.Body > 0 {
			if err := c.DecodeOptional(&b); err != nil {
				return err
			}
		}
		handle(c.Writer, c.Request)
		return c.Reply(http.StatusOK, b)
	}})
}

// AddBare adds a route whose handler sees to everything that comes after the
// credential, ids and body included.
func (a *Adapter) AddBare(r Route, handle func(w http.ResponseWriter, r *http.Request)) {
	a.add(r, web.Route{Bare: true, Handle: func(c *web.Call) error {
		handle(c.Writer, c.Request)
		return nil
	}})
}

// AddStream adds a stream of n events, which goes on to wait for more.
func (a *Adapter) AddStream(r Route, events func(ctx context.Context, after int64) iter.Seq2[int64, error]) {
	a.add(r, web.Route{Stream: true, Handle: func(c *web.Call) error {
		after, err := c.ResumeAt()
		if err != nil {
			return err
		}
		return c.Stream(after, func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
			return func(yield func(web.Event, error) bool) {
				for id, err := range events(ctx, after) {
					if !yield(web.Event{ID: id, Name: "added", Data: map[string]any{"text": strings.Repeat("x", 9<<10)}}, err) {
						return
					}
				}
			}
		}, update.ErrCompacted)
	}})
}

// add adds a route that reads a body, unless one of its methods is GET.
func (a *Adapter) add(r Route, added web.Route) {
	added.API, added.Methods, added.Pattern = string(r.API), r.Methods, r.Pattern
	added.Needs, added.Changes, added.Summary = int(r.Needs), r.Changes, r.Summary
	added.Speaks = own
	if !slices.Contains(r.Methods, http.MethodGet) {
		added.Body, added.Takes = 64<<10, reasonBody{}
	}
	a.apis = append(a.apis, web.API{Routes: []web.Route{added}})
	var err error
	if a.server, err = a.config.serve(a.apis...); err != nil {
		panic(err)
	}
}

// Wire is what the table says of how a route is spoken.
type Wire struct {
	Body    int64 // bytes of a body at most; 0: none is read
	Form    bool  // which may be a form
	File    bool  // which is a form with a file
	Plain   bool  // whose Content-Type does not matter
	Socket  bool  // a WebSocket
	Stream  bool  // the reply does not end
	Raw     bool  // the reply is bytes
	Query   []string
	Members map[string]string // of the body, to what JSON calls them; "": anything
}

// Wire returns what the table says of the route with this pattern and method.
func (a *Adapter) Wire(pattern, method string) (w Wire) {
	for _, r := range a.server.Routes() {
		if r.Pattern != pattern || !slices.Contains(r.Methods, method) {
			continue
		}
		w = Wire{Body: r.Body, Form: r.Form, File: r.File, Plain: r.Plain, Stream: r.Stream, Socket: r.Socket, Raw: r.Raw, Members: map[string]string{}}
		for _, f := range r.Query {
			w.Query = append(w.Query, f.Name)
		}
		if r.Takes != nil {
			takes := r.Takes
			if part, ok := takes.(web.Partly); ok {
				takes = part.Of
			}
			w.Members = membersOf(reflect.TypeOf(takes))
		}
	}
	return w
}

func membersOf(t reflect.Type) map[string]string {
	kinds := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Slice: "array", reflect.Map: "object",
		reflect.Int: "integer", reflect.Int64: "integer", reflect.Pointer: "",
	}
	all := map[string]string{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if all[name] = kinds[f.Type.Kind()]; f.Type == reflect.TypeFor[json.RawMessage]() || f.Type == reflect.TypeFor[number]() {
			all[name] = ""
		}
	}
	return all
}

// Meant is a header in which APIs whose status is 200 for most failures say to tests
// what else it would be.
const Meant = "WWW-Authenticate"

func init() {
	meant := func(say func(*web.Refusal, error) web.Answer) func(*web.Refusal, error) web.Answer {
		return func(r *web.Refusal, err error) web.Answer {
			answer := say(r, err)
			answer.Challenge = strconv.Itoa(r.Status)
			return answer
		}
	}
	wechat.Say, siyuanSays = meant(wechat.Say), meant(siyuanSay)
}

// TakesBody reports whether the route with this pattern and method reads a body.
func (a *Adapter) TakesBody(pattern, method string) bool { return a.BodyLimit(pattern, method) > 0 }

// BodyLimit returns how many bytes of a body it reads at most.
func (a *Adapter) BodyLimit(pattern, method string) int64 { return a.Wire(pattern, method).Body }

// Addresses returns how many addresses with failed logins are remembered.
func (a *Adapter) Addresses() int { return a.server.Open().Addresses }

// Attempts returns how many addresses have credentials that are being checked.
func (a *Adapter) Attempts() int { return a.server.Open().Attempts }

// OpenStreams returns how many event streams are open.
func (a *Adapter) OpenStreams() int { return a.server.Open().Streams }
