// Package filltest makes values none of whose fields is zero, for tests that find
// out which field a codec forgets.
package filltest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// New returns a T in which every exported field, at any depth, has a value of
// its own: numbers count up, texts end with a number, times are UTC and in whole
// milliseconds, lists and maps have two entries. What a type holds of itself is
// filled once, and empty below that. A maker is a func(int) M: it makes the
// values of type M, an interface for example, from a number of their own. What
// cannot be made panics, and so does a field that is not exported unless there
// is a maker of the type that has it.
func New[T any](makers ...any) T {
	f := filler{makers: map[reflect.Type]reflect.Value{
		reflect.TypeFor[time.Time]():       reflect.ValueOf(moment),
		reflect.TypeFor[json.RawMessage](): reflect.ValueOf(object),
	}}
	for _, m := range makers {
		made := reflect.ValueOf(m)
		f.makers[made.Type().Out(0)] = made
	}
	var value T
	f.fill(reflect.ValueOf(&value).Elem())
	return value
}

func moment(n int) time.Time {
	return time.Date(2030, 1, 1, 0, 0, n, n*int(time.Millisecond), time.UTC)
}

func object(n int) json.RawMessage { return fmt.Appendf(nil, `{"n":%d}`, n) }

type filler struct {
	makers map[reflect.Type]reflect.Value
	n      int            // the last number used
	around []reflect.Type // the structs that are being filled
}

func (f *filler) next() int {
	f.n++
	return f.n
}

// depth returns how many values of a type are being filled.
func (f *filler) depth(t reflect.Type) (n int) {
	for _, around := range f.around {
		if around == t {
			n++
		}
	}
	return n
}

func (f *filler) fill(v reflect.Value) {
	if m, ok := f.makers[v.Type()]; ok {
		v.Set(m.Call([]reflect.Value{reflect.ValueOf(f.next())})[0])
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.next()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.next()))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.next()) + 0.5)
	case reflect.String:
		v.SetString(fmt.Sprint("text ", f.next()))
	case reflect.Struct:
		f.fields(v)
	default:
		f.container(v)
	}
}

func (f *filler) fields(v reflect.Value) {
	f.around = append(f.around, v.Type())
	defer func() { f.around = f.around[:len(f.around)-1] }()
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			panic(fmt.Sprintf("filltest: %s.%s is not exported", v.Type(), v.Type().Field(i).Name))
		}
		f.fill(v.Field(i))
	}
}

// container fills what holds other values. It stays nil where a type holds
// itself for the second time.
func (f *filler) container(v reflect.Value) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if f.depth(t.Elem()) > 1 {
			return
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		for range 2 {
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	default:
		panic(fmt.Sprintf("filltest: no maker of %s", t))
	}
}
