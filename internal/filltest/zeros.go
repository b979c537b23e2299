package filltest

import (
	"reflect"
	"slices"
)

// Zeros returns the exported fields of a value that are zero, at any depth, as
// paths without the indexes of lists, each once and in their order. What is
// below a field that is zero is not listed.
func Zeros(v any) []string {
	var z zeros
	z.look("", reflect.ValueOf(v))
	return z
}

type zeros []string

func (z *zeros) look(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				z.field(join(path, f.Name), v.Field(i))
			}
		}
	case reflect.Pointer, reflect.Interface:
		z.look(path, v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			z.look(path, v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			z.look(path, v.MapIndex(key))
		}
	}
}

func (z *zeros) field(path string, v reflect.Value) {
	switch {
	case !v.IsZero():
		z.look(path, v)
	case !slices.Contains(*z, path):
		*z = append(*z, path)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
