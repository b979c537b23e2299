package web

import "reflect"

// Bind fills the struct that v points to from scanned text.
func Bind(text []byte, v any) error { return bind(text, reflect.ValueOf(v).Elem()) }
