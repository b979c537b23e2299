package lv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Difference is a field with two values. A value that is not there is nil;
// Base is nil unless a Merge found the difference. A Path does not go deeper
// once it has 1,024 bytes: what is there is whole.
type Difference struct {
	Path             string // JSON Pointer; "" is the whole content
	Base, From, Into json.RawMessage
}

// Diff lists the fields in which two contents differ, by their names. Arrays
// are whole; numbers differ if they are written differently. A content may be
// nil, as that of a deletion.
func Diff(a, b json.RawMessage) ([]Difference, error) {
	from, err := readTree(a)
	if err != nil {
		return nil, err
	}
	into, err := readTree(b)
	if err != nil {
		return nil, err
	}
	return diff(nil, "", from, into), nil
}

// Merge merges two contents that come from base, field by field; arrays are
// whole. A field changed in different ways on both sides is never decided: it
// is in the list, From is ours and Into theirs, and it stays as it is in base.
// A content may be nil, as that of a deletion.
func Merge(base, ours, theirs json.RawMessage) (json.RawMessage, []Difference, error) {
	var trees [3]any
	for i, content := range []json.RawMessage{base, ours, theirs} {
		var err error
		if trees[i], err = readTree(content); err != nil {
			return nil, nil, err
		}
	}
	merged, conflicts := merge(nil, "", trees[0], trees[1], trees[2])
	return writeTree(merged), conflicts, nil
}

// absent is the value of a field that is not there.
type absent struct{}

func readTree(content json.RawMessage) (tree any, err error) {
	if content == nil {
		return absent{}, nil
	}
	if _, err := Canonical(content); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("%w: content: %w", ErrInvalid, err)
	}
	return tree, nil
}

func writeTree(tree any) json.RawMessage {
	if tree == (absent{}) {
		return nil
	}
	text, err := json.Marshal(tree)
	if err == nil {
		text, err = Canonical(text)
	}
	if err != nil {
		panic("lv: a tree that was read cannot be written: " + err.Error())
	}
	return text
}

// field returns a member of an object, and of what is no object nothing.
func field(tree any, name string) any {
	if object, ok := tree.(map[string]any); ok {
		if value, ok := object[name]; ok {
			return value
		}
	}
	return absent{}
}

// names returns the names that any of these objects has, sorted.
func names(objects ...any) []string {
	all := map[string]struct{}{}
	for _, o := range objects {
		object, _ := o.(map[string]any)
		for name := range object {
			all[name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func isObject(tree any) bool {
	_, ok := tree.(map[string]any)
	return ok
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// maxPath keeps a list of differences from being much longer than the contents:
// every field has the whole path.
const maxPath = 1024

func diff(found []Difference, path string, from, into any) []Difference {
	if isObject(from) && isObject(into) && len(path) < maxPath {
		for _, name := range names(from, into) {
			found = diff(found, path+"/"+pointerEscapes.Replace(name), field(from, name), field(into, name))
		}
		return found
	}
	if reflect.DeepEqual(from, into) {
		return found
	}
	return append(found, Difference{Path: path, From: writeTree(from), Into: writeTree(into)})
}

func merge(conflicts []Difference, path string, base, ours, theirs any) (any, []Difference) {
	fields := isObject(base) || base == (absent{}) // else both have replaced it by something else
	if fields && isObject(ours) && isObject(theirs) && len(path) < maxPath {
		merged := map[string]any{}
		for _, name := range names(base, ours, theirs) {
			var value any
			value, conflicts = merge(conflicts, path+"/"+pointerEscapes.Replace(name),
				field(base, name), field(ours, name), field(theirs, name))
			if value != (absent{}) {
				merged[name] = value
			}
		}
		return merged, conflicts
	}
	switch {
	case reflect.DeepEqual(ours, theirs), reflect.DeepEqual(base, theirs):
		return ours, conflicts
	case reflect.DeepEqual(base, ours):
		return theirs, conflicts
	}
	return base, append(conflicts, Difference{
		Path: path, Base: writeTree(base), From: writeTree(ours), Into: writeTree(theirs),
	})
}
