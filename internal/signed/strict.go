package signed

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects nest.
const maxDepth = 16

// Decode is json.Unmarshal for text that every parser reads alike: UTF-8, whose
// objects have no name twice, none that v writes in other letters, and none that
// v does not know.
func Decode(text []byte, v any) error { return decode(text, v, true) }

// DecodeKnown is Decode of what a later version may have added to: names that v
// does not know are ignored.
func DecodeKnown(text []byte, v any) error { return decode(text, v, false) }

func decode(text []byte, v any, all bool) error {
	if err := scan(text, reflect.TypeOf(v), all); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// scanner reads a text beside the type that it is for.
type scanner struct {
	*json.Decoder
	all    bool // names must be known
	fields map[reflect.Type]map[string]field
}

// field is a name of an object, as it must be written.
type field struct {
	name string
	of   reflect.Type
}

// scan reports whether text begins with a JSON value in UTF-8 whose objects have
// no name twice. To encoding/json, "Serial" is "serial", and of two the last one
// counts: names that differ by case alone are one here, and since those with
// letters beyond ASCII may be too, there are none.
func scan(text []byte, of reflect.Type, all bool) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	s := scanner{json.NewDecoder(bytes.NewReader(text)), all, make(map[reflect.Type]map[string]field)}
	s.UseNumber()
	return s.value(of, 0)
}

// value reads a value of a type, or of any if it is nil.
func (s scanner) value(of reflect.Type, depth int) error {
	token, err := s.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("more than %d levels deep", maxDepth)
	}
	known, inner := s.inside(of)
	names := map[string]bool{}
	for s.More() {
		if open == '{' {
			if inner, err = s.name(names, known, inner); err != nil {
				return err
			}
		}
		if err := s.value(inner, depth+1); err != nil {
			return err
		}
	}
	_, err = s.Token()
	return err
}

// name reads a name, and returns the type of its value.
func (s scanner) name(seen map[string]bool, known map[string]field, inner reflect.Type) (reflect.Type, error) {
	token, err := s.Token()
	if err != nil {
		return nil, err
	}
	name, _ := token.(string)
	for _, r := range name {
		if r >= utf8.RuneSelf {
			return nil, fmt.Errorf("name %.64q is not ASCII", name)
		}
	}
	folded := strings.ToLower(name)
	if seen[folded] {
		return nil, fmt.Errorf("name %.64q is repeated", name)
	}
	seen[folded] = true
	if known == nil { // a map, or anything
		return inner, nil
	}
	f, ok := known[folded]
	switch {
	case ok && f.name != name:
		return nil, fmt.Errorf("name %.64q, want %q", name, f.name)
	case !ok && s.all:
		return nil, fmt.Errorf("name %.64q is not known", name)
	}
	return f.of, nil
}

var (
	ownJSON = reflect.TypeFor[json.Unmarshaler]()
	ownText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// inside returns the names of a type's objects, folded, or nil if any may be
// there, and the type of its elements.
func (s scanner) inside(of reflect.Type) (map[string]field, reflect.Type) {
	for of != nil && of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of == nil || reflect.PointerTo(of).Implements(ownJSON) || reflect.PointerTo(of).Implements(ownText) {
		return nil, nil
	}
	switch of.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return nil, of.Elem()
	case reflect.Struct:
		if s.fields[of] == nil {
			s.fields[of] = fieldsOf(of)
		}
		return s.fields[of], nil
	}
	return nil, nil
}

func fieldsOf(of reflect.Type) map[string]field {
	all := make(map[string]field)
	for _, f := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || name == "-" || f.Anonymous && name == "":
			continue
		case name == "":
			name = f.Name
		}
		all[strings.ToLower(name)] = field{name, f.Type}
	}
	return all
}
