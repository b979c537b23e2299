package sqlstore

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// encodeOver encodes a record that takes the place of an earlier one. Members
// that this library does not know, of a newer one, are taken over from there, at
// any depth. An entry of a list is the one of before that has the same values
// in the fields tagged `entry:"id"` or, without such fields, in all that is
// known.
func encodeOver(before string, record any) (string, error) {
	after, err := json.Marshal(record)
	if err != nil {
		return "", err
	}
	known := json.NewDecoder(strings.NewReader(before))
	known.DisallowUnknownFields()
	if known.Decode(reflect.New(reflect.TypeOf(record)).Interface()) == nil {
		return string(after), nil
	}
	old, ok := parse([]byte(before)).(map[string]any)
	if !ok { // there was none, or it cannot be read
		return string(after), nil
	}
	return encode(over(old, parse(after), reflect.TypeOf(record)))
}

// parse returns JSON as maps and lists, or nil.
func parse(data []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// over returns after with what before has besides the members of type t.
func over(before, after any, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Pointer:
		return over(before, after, t.Elem())
	case reflect.Struct:
		old, isOld := before.(map[string]any)
		mine, isMine := after.(map[string]any)
		if isOld && isMine {
			return overStruct(old, mine, t)
		}
	case reflect.Slice:
		old, isOld := before.([]any)
		mine, isMine := after.([]any)
		if isOld && isMine && t.Elem().Kind() == reflect.Struct {
			overList(old, mine, t.Elem())
		}
	}
	return after
}

func overStruct(before, after map[string]any, t reflect.Type) map[string]any {
	fields := membersOf(t)
	for name, value := range before {
		field, known := fields[strings.ToLower(name)]
		if !known {
			after[name] = value
			continue
		}
		mine, there := after[name]
		if !there && field.Kind() == reflect.Struct { // empty, but for what is not known
			mine = map[string]any{}
		}
		if mine = over(value, mine, field); there || !reflect.DeepEqual(mine, map[string]any{}) && mine != nil {
			after[name] = mine
		}
	}
	return after
}

func overList(before, after []any, of reflect.Type) {
	same := make(map[string][]any)
	for _, entry := range before {
		id := identity(entry, of)
		same[id] = append(same[id], entry)
	}
	for i, entry := range after {
		id := identity(entry, of)
		if all := same[id]; len(all) > 0 {
			after[i], same[id] = over(all[0], entry, of), all[1:]
		}
	}
}

// membersOf returns the types of the members of an object, by their names in
// lower case: a decoder does not mind the case.
func membersOf(t reflect.Type) map[string]reflect.Type {
	members := make(map[string]reflect.Type)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		members[strings.ToLower(name)] = t.Field(i).Type
	}
	return members
}

// identity is what tells an entry of a list from others.
func identity(entry any, t reflect.Type) string {
	id := reflect.New(t).Elem()
	data, _ := json.Marshal(entry)
	_ = json.Unmarshal(data, id.Addr().Interface()) // what is not known is gone
	tagged := reflect.New(t).Elem()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("entry") == "id" {
			tagged.Field(i).Set(id.Field(i))
		}
	}
	if !tagged.IsZero() {
		id = tagged
	}
	data, _ = json.Marshal(id.Interface())
	return string(data)
}
