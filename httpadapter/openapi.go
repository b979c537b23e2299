package httpadapter

import (
	"github.com/upkeep-go/upkeep/internal/lv/wire"

	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// openapiRoute serves the description of all routes.
func (a *Adapter) openapiRoute() route {
	description := sync.OnceValue(func() encoded { return slices.Clip(encode(a.openapi())) }) // shared by replies
	return route{
		Route: Route{
			API: UpkeepAPI, Methods: reading, Pattern: "/upkeep/v1/openapi.json",
			Needs: Reader, Summary: "Describe every route as OpenAPI 3.1",
		},
		speaks: own, gives: map[string]any{},
		handle: func(c *call) error { return c.reply(http.StatusOK, description()) },
	}
}

// object is a JSON object of the description.
type object = map[string]any

// openapi describes the route table.
func (a *Adapter) openapi() object {
	paths := object{}
	for i := range a.routes {
		r := &a.routes[i]
		item, _ := paths[r.Pattern].(object)
		if item == nil {
			item = object{}
			paths[r.Pattern] = item
		}
		for _, method := range r.Methods {
			if method != http.MethodHead { // it is said of GET
				item[strings.ToLower(method)] = r.operation()
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
func (r *route) operation() object {
	op := object{
		"summary":       r.Summary,
		"tags":          []string{string(r.API)},
		"x-upkeep-role": r.Needs.String(),
		"responses": object{
			"2XX":     object{"description": "done", "content": r.replies()},
			"default": object{"description": "not done", "content": content("application/json", r.speaks.fails)},
		},
	}
	if r.speaks.bearer && r.Needs > Nobody {
		op["security"] = []object{{"bearer": []string{}}}
	}
	var parameters []object
	for _, name := range r.ids {
		parameters = append(parameters, object{
			"name": name, "in": "path", "required": true,
			"schema": object{"type": "string", "minLength": 1, "maxLength": maxID},
		})
	}
	for _, f := range r.query {
		parameters = append(parameters, object{
			"name": f.name, "in": "query", "description": f.about, "schema": object{"type": "string"},
		})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if r.takes != nil {
		body := content("application/json", r.takes)
		if r.form {
			body["application/x-www-form-urlencoded"] = body["application/json"]
		}
		op["requestBody"] = object{"content": body}
	}
	return op
}

// replies describes what a route gives.
func (r *route) replies() object {
	switch r.gives.(type) {
	case nil:
		return object{}
	case eventReply, wire.Event:
		return content("text/event-stream", r.gives)
	}
	return content("application/json", r.gives)
}

func content(media string, v any) object {
	if _, ok := v.(problem); ok {
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
