package web

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// schemas are JSON schemas of what encoding/json makes of Go types. Those of
// structs, and of types of which all values are known, have a name and stand
// once.
type schemas struct {
	words map[reflect.Type][]any
	types map[string]reflect.Type // by the names of their schemas
	named object                  // the schemas
}

// newSchemas returns no schemas yet. Words are all values of each type that has few.
func newSchemas(words []any) *schemas {
	s := &schemas{words: map[reflect.Type][]any{}, types: map[string]reflect.Type{}, named: object{}}
	for _, word := range words {
		t := reflect.TypeOf(word)
		s.words[t] = appendNew(s.words[t], word)
	}
	return s
}

// of returns the schema of a type.
func (s *schemas) of(t reflect.Type) object {
	switch encodesItself := t.Implements(reflect.TypeFor[json.Marshaler]()); {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return object{} // anything
	case encodesItself && t.Kind() == reflect.Int64: // a number beyond what JavaScript can hold
		return object{"type": "string", "pattern": "^-?[0-9]+$"}
	case encodesItself:
		return object{"type": "object", "additionalProperties": true}
	case s.words[t] != nil:
		return s.refer(t, func(t reflect.Type) object { return object{"type": jsonKind(t), "enum": s.words[t]} })
	}
	switch t.Kind() {
	case reflect.String:
		if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) { // a text that may come as a number
			return object{"anyOf": []object{{"type": "string"}, {"type": "number"}}}
		}
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct && t.Elem().NumField() == 0 { // there is nothing to point to
			return object{"type": "null"}
		}
		return object{"anyOf": []object{s.of(t.Elem()), {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.refer(t, s.structure)
	case reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	}
	return object{"type": jsonKind(t)}
}

// refer returns a reference to the schema of a type, which is made if it is not
// there.
func (s *schemas) refer(t reflect.Type, schema func(reflect.Type) object) object {
	name := schemaName(t)
	switch s.types[name] {
	case nil:
		s.types[name] = t // it may refer to itself
		s.named[name] = schema(t)
	case t:
	default:
		panic(fmt.Sprintf("httpadapter: %s and %s have the schema %s", t, s.types[name], name))
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schemaName is Run for a runReply, RunBody for a runBody, and UpdateState for
// the State of package update.
func schemaName(t reflect.Type) string {
	name := t.Name()
	if unicode.IsUpper(rune(name[0])) && t.PkgPath() != reflect.TypeFor[Problem]().PkgPath() {
		return capital(path.Base(t.PkgPath())) + name
	}
	return capital(strings.TrimSuffix(name, "Reply"))
}

func capital(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// structure describes a struct. A reply has all members that encoding/json does
// not leave out, a body, whose type is named so, those that are tagged as
// needed. A map without a name is for members of any name.
func (s *schemas) structure(t reflect.Type) object {
	properties := object{}
	schema := object{"type": "object", "properties": properties}
	var required []string
	isBody := strings.HasSuffix(t.Name(), "Body")
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		mayMiss := isBody || strings.HasPrefix(options, "omit")
		tag := f.Tag.Get("openapi")
		switch {
		case f.Anonymous:
		case f.Name == "_":
			bound(schema, tag)
		case name == "-":
			schema["additionalProperties"] = s.of(f.Type.Elem())
		default:
			of := f.Type
			if mayMiss && of.Kind() == reflect.Pointer { // null is left out
				of = of.Elem()
			}
			property := s.of(of)
			if bound(property, tag) || !mayMiss {
				required = append(required, name)
			}
			properties[name] = property
		}
	}
	if required != nil {
		schema["required"] = required
	}
	return schema
}

// bound adds the keywords in a tag, such as enum=0|1,maxLength=9, to a schema,
// and reports whether needed is among them.
func bound(schema object, tag string) (needed bool) {
	for part := range strings.SplitSeq(tag, ",") {
		switch key, value, _ := strings.Cut(part, "="); key {
		case "":
		case "needed":
			needed = true
		case "enum":
			var values []any
			for word := range strings.SplitSeq(value, "|") {
				values = append(values, literal(word))
			}
			schema[key] = values
		default:
			schema[key] = literal(value)
		}
	}
	return needed
}

// literal returns a number, or a text.
func literal(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return text
}

// either is a schema for values of any of these.
func either(all []object) object {
	if len(all) == 1 {
		return all[0]
	}
	return object{"anyOf": all}
}
