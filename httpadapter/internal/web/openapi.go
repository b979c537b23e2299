package web

import (
	"cmp"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Speech is what openapi.json says of a Dialect.
type Speech struct {
	Name     string         // of its failures
	Known    []error        // what Refuse and Say know by its type
	Security map[string]any // the schemes that take the credential, all at once; nil: it is in the body
	Envelope any            // what replies are in: the member of any type is what a route gives; nil: nothing
	Media    string         // of what routes give; default application/json
	Words    []any          // all values of each type that has few
}

// Field is a parameter.
type Field struct {
	Name, About string
	Is          map[string]any // its schema
	In          string         // default: the query
	Must        bool           // it cannot be left out
}

// Text is a Field of any text.
func Text(name, about string) Field {
	return Field{Name: name, About: about, Is: object{"type": "string"}}
}

// Truth is a Field that is true or false.
func Truth(name, about string) Field {
	return Field{Name: name, About: about, Is: object{"type": "boolean"}}
}

// Whole is a Field of a whole number that is at least low.
func Whole(name, about string, low int64) Field {
	return Field{Name: name, About: about, Is: object{"type": "integer", "format": "int64", "minimum": low}}
}

// Word is a Field of one of these values.
func Word[T any](name, about string, values ...T) Field {
	return Field{Name: name, About: about, Is: object{"enum": values}}
}

// Needed returns the Field as one that cannot be left out.
func (f Field) Needed() Field {
	f.Must = true
	return f
}

// Partly is a body in which every member of Of may be left out.
type Partly struct{ Of any }

// Describe answers with the description of all routes.
func (c *Call) Describe() error { return c.Reply(http.StatusOK, c.server.description()) }

// object is a JSON object of the description.
type object = map[string]any

// description collects what routes share.
type description struct {
	schemas  *schemas
	failures object // responses, by dialect and status
	security object // schemes
	level    func(int) string
}

const aboutAll = "Each failure of Upkeep's own routes is a problem of RFC 9457, and its type says which: see the failures of a route. " +
	"maxLength of a text counts bytes of UTF-8. A member that is null is taken as left out. " +
	"The api_token of the documented update routes is the credential, and in the body: no security scheme can say that. " +
	"x-upkeep-role is the role that the caller needs."

// openapi describes the route table.
func (s *Server) openapi() object {
	var words []any
	for _, r := range s.routes {
		words = append(words, r.Speaks.Words...)
	}
	d := &description{schemas: newSchemas(words), failures: object{}, security: object{}, level: s.config.Level}
	paths, apis := object{}, object{}
	for i := range s.routes {
		r := &s.routes[i]
		path := strings.TrimPrefix(r.Pattern, s.config.Prefix)
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		for _, method := range r.Methods {
			if method != http.MethodHead { // it is said of GET
				item[strings.ToLower(method)] = d.operation(r, method)
			}
		}
		apis[r.API] = object{"name": r.API, "description": s.about[r.API]}
	}
	var tags []any
	for _, name := range slices.Sorted(maps.Keys(apis)) {
		tags = append(tags, apis[name])
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Upkeep", "version": "1", "description": aboutAll,
			"license": object{"name": "Apache 2.0", "identifier": "Apache-2.0"},
		},
		"servers": []object{{"url": cmp.Or(s.config.Prefix, "/")}},
		"tags":    tags,
		"paths":   paths,
		"components": object{
			"schemas": d.schemas.named, "responses": d.failures, "securitySchemes": d.security,
		},
	}
}

// operation describes a route with one of its methods.
func (d *description) operation(r *Route, method string) object {
	op := object{
		"operationId":   r.operationID(method),
		"summary":       r.Summary,
		"tags":          []string{r.API},
		"x-upkeep-role": d.level(r.Needs),
		"security":      []object{},
		"responses":     d.responses(r),
	}
	if r.Needs > 0 && r.Speaks.Security != nil {
		maps.Copy(d.security, r.Speaks.Security)
		all := object{}
		for scheme := range r.Speaks.Security {
			all[scheme] = []string{}
		}
		op["security"] = []object{all}
	}
	var parameters []object
	for _, name := range r.ids {
		parameters = append(parameters, object{
			"name": name, "in": "path", "required": true,
			"schema": object{"type": "string", "minLength": 1, "maxLength": maxID},
		})
	}
	for _, f := range r.Query {
		if r.Speaks.Security[f.Name] == nil {
			parameters = append(parameters, object{
				"name": f.Name, "in": cmp.Or(f.In, "query"), "description": f.About, "required": f.Must, "schema": f.Is,
			})
		}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	switch {
	case r.File:
		op["requestBody"] = fileBody
	case r.Takes != nil:
		op["requestBody"] = d.body(r)
	}
	return op
}

// operationID is the name of the route. One with two methods has it by that
// which is usual for what it does.
func (r *Route) operationID(method string) string {
	switch {
	case method == http.MethodGet && r.Changes:
		return r.Name + "ByGet"
	case method == http.MethodPost && !r.Changes && slices.Contains(r.Methods, http.MethodGet):
		return r.Name + "ByPost"
	}
	return r.Name
}

// fileBody describes what a route takes that reads a file.
var fileBody = object{"required": true, "content": object{"multipart/form-data": object{"schema": object{
	"type": "object", "required": []string{"file"},
	"properties": object{"file": object{"type": "string", "contentMediaType": "application/octet-stream", "description": "the only part"}},
}}}}

// body describes what a route takes.
func (d *description) body(r *Route) object {
	takes, part := r.Takes, false
	if p, ok := takes.(Partly); ok {
		takes, part = p.Of, true
	}
	t := reflect.TypeOf(takes)
	schema := d.schemas.structure(t)
	must := part || schema["required"] != nil || schema["minProperties"] != nil
	delete(schema, "required")
	if !part {
		schema = d.schemas.of(t)
	}
	content := object{"application/json": object{"schema": schema}}
	if r.Form {
		content["application/x-www-form-urlencoded"] = object{"schema": schema}
	}
	return object{"required": must, "content": content}
}

// responses describes what a route answers.
func (d *description) responses(r *Route) object {
	all := object{}
	var replies []object
	if r.Gives != nil {
		replies = append(replies, d.given(r))
	}
	if r.Stream {
		replies = append(replies, d.schemas.of(reflect.TypeFor[Compacted]()))
	}
	for _, err := range slices.Concat(refusals, r.Speaks.known()) {
		reply, _ := r.Speaks.failure(err)
		switch {
		case reply.Status < http.StatusBadRequest: // as a document has it
			replies = appendNew(replies, d.schemas.of(reflect.TypeOf(reply.Body)))
		case r.mayFail(reply.Status):
			all[strconv.Itoa(reply.Status)] = d.failure(r.Speaks, reply.Status)
		}
	}
	done := r.Done
	switch {
	case r.Socket:
		done = []int{http.StatusSwitchingProtocols}
	case done == nil:
		done = []int{http.StatusOK}
	}
	for i, status := range done {
		response := object{"description": http.StatusText(status)}
		if i == 0 && replies != nil {
			media := cmp.Or(r.Speaks.Media, "application/json")
			if r.Stream {
				media, response["description"] = "text/event-stream", "Server-Sent Events, of which these are the data"
			}
			if r.Socket {
				response["description"] = "A WebSocket, of which these are the messages"
			}
			response["content"] = object{media: object{"schema": either(replies)}}
		}
		if r.Raw {
			response["content"] = object{bytesMedia: object{"schema": object{"type": "string", "contentMediaType": bytesMedia}}}
		}
		all[strconv.Itoa(status)] = response
	}
	return all
}

// refusals are what any route may answer before and beside its domain.
var refusals = []error{
	BadQuery, BadBody, BadID, Foreign, BodyTooLong, QueryTooBig, BadMedia, NotSocket, TooMany, TooManyOpen, TooManyLong, internal(""), Unavailable,
	ErrNoCredential, ErrBadCredential, ErrExpired, ErrReadOnly, ErrForbidden,
}

// known are the errors that a dialect tells in its own way.
func (d *Dialect) known() (all []error) {
	for _, f := range slices.Concat(d.Failures, engine) {
		all = append(all, f.Err)
	}
	return append(all, d.Known...)
}

// mayFail reports whether a route has a reason for a failure of this status.
func (r *Route) mayFail(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return r.Needs > 0 || r.Changes
	case http.StatusConflict:
		return r.Changes || r.Slow && r.Body > 0 // which waits for what changes
	case http.StatusNotImplemented:
		return r.Changes
	case http.StatusUpgradeRequired:
		return r.Socket
	case http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return r.Body > 0
	}
	return true
}

// failure refers to what a dialect answers with a status.
func (d *description) failure(speaks *Dialect, status int) object {
	name := speaks.Name + strconv.Itoa(status)
	if d.failures[name] == nil {
		var media string
		var bodies []object
		var urns, titles []string
		for _, err := range slices.Concat(refusals, speaks.known()) {
			reply, _ := speaks.failure(err)
			if reply.Status != status {
				continue
			}
			if reply.Body == nil {
				continue
			}
			media, bodies = cmp.Or(reply.Media, "application/json"), appendNew(bodies, d.schemas.of(reflect.TypeOf(reply.Body)))
			if p, ok := reply.Body.(interface{ self() Problem }); ok {
				urns, titles = appendNew(urns, p.self().Type), appendNew(titles, p.self().Title)
			}
		}
		schema, about := either(bodies), http.StatusText(status)
		if urns != nil {
			about = strings.Join(titles, "; ")
			schema = object{"allOf": []object{schema, {"properties": object{"type": object{"enum": urns}}}}}
		}
		d.failures[name] = object{"description": about, "content": object{media: object{"schema": schema}}}
	}
	return object{"$ref": "#/components/responses/" + name}
}

// appendNew appends v to all, unless it is among them.
func appendNew[T any](all []T, v T) []T {
	if slices.ContainsFunc(all, func(known T) bool { return reflect.DeepEqual(known, v) }) {
		return all
	}
	return append(all, v)
}

// given describes what a route gives, in the envelope of its dialect.
func (d *description) given(r *Route) object {
	gives := d.schemas.of(reflect.TypeOf(r.Gives))
	if r.Speaks.Envelope == nil {
		return gives
	}
	envelope := d.schemas.structure(reflect.TypeOf(r.Speaks.Envelope))
	properties := envelope["properties"].(object)
	for name, property := range properties {
		if len(property.(object)) == 0 {
			properties[name] = gives
		}
	}
	return envelope
}
