package httpadapter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// contractExpect is what a reply must look like.
type contractExpect struct {
	Status     int               `json:"status"`
	JSONExact  json.RawMessage   `json:"json_exact"`
	JSONSubset json.RawMessage   `json:"json_subset"`
	JSONAbsent []string          `json:"json_absent"`
	BodyEmpty  bool              `json:"body_empty"`
	Header     map[string]string `json:"header"`
}

// check compares a reply with what is expected of it.
func (e *contractExpect) check(r *http.Response) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := e.compare(r, text); err != nil {
		return fmt.Errorf("%w\nreply: %d %s", err, r.StatusCode, text)
	}
	return nil
}

func (e *contractExpect) compare(r *http.Response, text []byte) error {
	if e.Status == 0 {
		return errors.New("no status is expected")
	}
	if r.StatusCode != e.Status {
		return fmt.Errorf("status: got %d, want %d", r.StatusCode, e.Status)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Header)) {
		if err := checkHeader(name, r.Header.Values(name), e.Header[name]); err != nil {
			return err
		}
	}
	if e.BodyEmpty && len(text) > 0 {
		return errors.New("body: want none")
	}
	if len(e.JSONExact) == 0 && len(e.JSONSubset) == 0 && len(e.JSONAbsent) == 0 {
		return nil
	}
	got, err := parse(text)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	for _, name := range e.JSONAbsent {
		object, ok := got.(map[string]any)
		if _, there := object[name]; there || !ok {
			return fmt.Errorf("body: want an object without %q", name)
		}
	}
	for _, want := range []struct {
		text  json.RawMessage
		exact bool
	}{{e.JSONExact, true}, {e.JSONSubset, false}} {
		if len(want.text) == 0 {
			continue
		}
		value, err := parse(want.text)
		if err != nil {
			return err
		}
		if err := match("body", got, value, want.exact); err != nil {
			return err
		}
	}
	return nil
}

// checkHeader compares Allow exactly, and anything else by a regular expression.
func checkHeader(name string, got []string, want string) error {
	joined := strings.Join(got, ", ")
	if http.CanonicalHeaderKey(name) == "Allow" {
		if joined != want {
			return fmt.Errorf("header %s: got %q, want %q", name, joined, want)
		}
		return nil
	}
	pattern, err := regexp.Compile(want)
	if err != nil {
		return err
	}
	if len(got) != 1 || !pattern.MatchString(got[0]) {
		return fmt.Errorf("header %s: got %q, want %q", name, got, want)
	}
	return nil
}

// parse reads one JSON value and nothing after it.
func parse(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// match compares a value with the one wanted, which may have matchers in it.
// Unless exact, objects may have more members than are wanted.
func match(at string, got, want any, exact bool) error {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: got %v, want an object", at, got)
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value, there := object[name]
			if !there {
				return fmt.Errorf("%s: %q is absent", at, name)
			}
			if err := match(at+"."+name, value, want[name], exact); err != nil {
				return err
			}
		}
		if exact && len(object) != len(want) {
			return fmt.Errorf("%s: got %d members, want %d", at, len(object), len(want))
		}
		return nil
	case []any:
		array, ok := got.([]any)
		if !ok || len(array) != len(want) {
			return fmt.Errorf("%s: got %v, want an array of %d", at, got, len(want))
		}
		for i := range want {
			if err := match(fmt.Sprintf("%s[%d]", at, i), array[i], want[i], exact); err != nil {
				return err
			}
		}
		return nil
	case string:
		if strings.HasPrefix(want, "$") {
			return matcher(at, got, want)
		}
	case json.Number:
		if number, ok := got.(json.Number); ok && equalNumbers(number, want) {
			return nil
		}
		return fmt.Errorf("%s: got %v, want %v", at, got, want)
	}
	if got != want {
		return fmt.Errorf("%s: got %v, want %v", at, got, want)
	}
	return nil
}

func equalNumbers(a, b json.Number) bool {
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}

// matcher judges a value by a word in place of a value.
func matcher(at string, got any, word string) error {
	text, isText := got.(string)
	number, isNumber := got.(json.Number)
	array, isArray := got.([]any)
	ok := false
	switch name, count, counted := strings.Cut(word, ":"); {
	case word == "$any":
		ok = true
	case word == "$string":
		ok = isText
	case word == "$nonempty":
		ok = isText && text != ""
	case word == "$number":
		ok = isNumber
	case word == "$nonzero":
		ok = isNumber && !equalNumbers(number, "0")
	case word == "$array":
		ok = isArray
	case name == "$array" && counted:
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return fmt.Errorf("%s: unknown matcher %q", at, word)
		}
		ok = isArray && len(array) == n
	default:
		return fmt.Errorf("%s: unknown matcher %q", at, word)
	}
	if !ok {
		return fmt.Errorf("%s: got %v, want %s", at, got, word)
	}
	return nil
}
