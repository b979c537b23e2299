package web

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// Describe answers with the description of all routes.
func (c *Call) Describe() error { return c.Reply(http.StatusOK, c.server.description()) }

// object is a JSON object of the description.
type object = map[string]any

// openapi describes the route table.
func (s *Server) openapi() object {
	paths := object{}
	for i := range s.routes {
		r := &s.routes[i]
		item, _ := paths[r.Pattern].(object)
		if item == nil {
			item = object{}
			paths[r.Pattern] = item
		}
		for _, method := range r.Methods {
			if method != http.MethodHead { // it is said of GET
				item[strings.ToLower(method)] = s.operation(r)
			}
		}
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Upkeep", "version": "1"},
		"paths":   paths,
		"components": object{"securitySchemes": object{
			"bearer": object{"type": "http", "scheme": "bearer"},
		}},
	}
}

// operation describes a route.
func (s *Server) operation(r *Route) object {
	op := object{
		"summary":       r.Summary,
		"tags":          []string{r.API},
		"x-upkeep-role": s.config.Level(r.Needs),
		"responses": object{
			"2XX":     object{"description": "done", "content": r.replies()},
			"default": object{"description": "not done", "content": content("application/json", r.Speaks.Fails)},
		},
	}
	if r.Speaks.Bearer && r.Needs > 0 {
		op["security"] = []object{{"bearer": []string{}}}
	}
	var parameters []object
	for _, name := range r.ids {
		parameters = append(parameters, object{
			"name": name, "in": "path", "required": true,
			"schema": object{"type": "string", "minLength": 1, "maxLength": maxID},
		})
	}
	for _, f := range r.Query {
		parameters = append(parameters, object{
			"name": f.Name, "in": "query", "description": f.About, "schema": object{"type": "string"},
		})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if r.Takes != nil {
		body := content("application/json", r.Takes)
		if r.Form {
			body["application/x-www-form-urlencoded"] = body["application/json"]
		}
		op["requestBody"] = object{"content": body}
	}
	return op
}

// replies describes what a route gives.
func (r *Route) replies() object {
	switch {
	case r.Gives == nil:
		return object{}
	case r.Stream:
		return content("text/event-stream", r.Gives)
	}
	return content("application/json", r.Gives)
}

func content(media string, v any) object {
	if _, ok := v.(Problem); ok {
		media = "application/problem+json"
	}
	return object{media: object{"schema": schemaOf(reflect.TypeOf(v))}}
}

// schemaOf describes what encoding/json makes of a type of this package.
func schemaOf(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t.Kind() == reflect.Int64 && t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{"type": "string"} // a number beyond what JavaScript can hold
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := schemaOf(t.Elem())
		s["type"] = []any{s["type"], "null"}
		return s
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Struct:
		properties := object{}
		for name, i := range fieldsOf(t) {
			properties[name] = schemaOf(t.Field(i).Type)
		}
		return object{"type": "object", "properties": properties}
	}
	return object{"type": jsonKind(t)}
}
