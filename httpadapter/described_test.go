package httpadapter_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// description is openapi.json, as a client reads it.
type description struct {
	text     []byte
	document map[string]any
	mux      *http.ServeMux // of its paths
	known    verdicts
}

// verdicts remember which texts have been found sound: most replies to an attack
// are the same few, and to read them again costs more than all else.
type verdicts struct{ sound sync.Map }

// judge returns what is wrong with a text where it stands.
func (v *verdicts) judge(where, text string, check func() error) error {
	key := sha256.Sum256([]byte(where + "\x00" + text))
	if _, known := v.sound.Load(key); known {
		return nil
	}
	err := check()
	if err == nil {
		v.sound.Store(key, true)
	}
	return err
}

var (
	descriptionOnce sync.Once
	theDescription  description
)

// described is openapi.json with every domain. Whatever the tests of this
// package are answered is compared with it.
func described(t testing.TB) *description {
	d := &theDescription
	descriptionOnce.Do(func() {
		s := new(site).open(t)
		r := httptest.NewRequest("GET", "/upkeep/v1/openapi.json", nil)
		r.Header.Set("Authorization", "Bearer "+reader)
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		d.text, d.mux = w.Body.Bytes(), http.NewServeMux()
		require.NoError(t, json.Unmarshal(d.text, &d.document))
		for pattern := range d.at("paths") {
			d.mux.Handle(pattern, http.NotFoundHandler())
		}
	})
	return d
}

// at returns the object at a place of the document, or nil.
func (d *description) at(place ...string) map[string]any {
	object := d.document
	for _, name := range place {
		object, _ = object[name].(map[string]any)
	}
	return d.resolve(object)
}

// resolve returns what an object refers to, or the object.
func (d *description) resolve(object map[string]any) map[string]any {
	if to, ok := object["$ref"].(string); ok {
		return d.at(strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
	}
	return object
}

// operations are the names of methods; what is said of GET is true of HEAD.
var operations = map[string]string{"GET": "get", "HEAD": "get", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}

// check compares a reply with what is said of it. Paths and methods that are
// not there are not described, nor is what a test serves beside the adapter.
func (d *description) check(r *http.Request, reply *http.Response, text string) error {
	if path.Clean(r.URL.Path) != r.URL.Path || reply.Header.Get("Cache-Control") != "no-store" {
		return nil
	}
	_, pattern := d.mux.Handler(r)
	operation := d.at("paths", pattern, operations[r.Method])
	if operation == nil || r.Method == http.MethodHead && reply.StatusCode == http.StatusMethodNotAllowed {
		return nil
	}
	says := fmt.Sprintf("openapi.json on %s %s and %d: ", r.Method, pattern, reply.StatusCode)
	responses, _ := operation["responses"].(map[string]any)
	response, _ := responses[strconv.Itoa(reply.StatusCode)].(map[string]any)
	if response == nil {
		return fmt.Errorf("%snothing, the reply is %.200s", says, text)
	}
	content, _ := d.resolve(response)["content"].(map[string]any)
	if r.Method == http.MethodHead || text == "" && (content == nil || reply.StatusCode == http.StatusForbidden) {
		return nil
	}
	media := reply.Header.Get("Content-Type")
	body, _ := content[media].(map[string]any)
	if body == nil {
		return fmt.Errorf("%sno %s", says, media)
	}
	if media == "text/event-stream" {
		return nil
	}
	if media == rawMedia {
		return d.valid(body["schema"], text, true)
	}
	return d.known.judge(says+media, text, func() error {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return err
		}
		if err := d.valid(body["schema"], value, true); err != nil {
			return fmt.Errorf("%s%w in %.400s", says, err, text)
		}
		return nil
	})
}

// valid reports where a value is not as a schema says. A closed one says all
// members that there are.
func (d *description) valid(schema, value any, closed bool) error {
	s := d.resolve(schema.(map[string]any))
	for keyword, want := range s {
		if err := d.keyword(s, keyword, want, value, closed); err != nil {
			return err
		}
	}
	return nil
}

func (d *description) keyword(s map[string]any, keyword string, want, value any, closed bool) error {
	text, _ := value.(string)
	number, _ := value.(float64)
	members, _ := value.(map[string]any)
	ok := true
	switch keyword {
	case "contentMediaType":
		ok = want == rawMedia
	case "description": // for people
		ok = want != ""
	case "type":
		ok = want == kindOf(value) || want == "integer" && kindOf(value) == "number" && number == float64(int64(number))
	case "const":
		ok = value == want
	case "enum":
		ok = slices.Contains(want.([]any), value)
	case "pattern":
		ok = regexp.MustCompile(want.(string)).MatchString(text)
	case "format":
		if want == "date-time" {
			_, err := time.Parse(time.RFC3339, text)
			ok = err == nil
		}
	case "items":
		items, _ := value.([]any)
		for i, item := range items {
			if err := d.valid(want, item, true); err != nil {
				return fmt.Errorf("[%d]%w", i, err)
			}
		}
	case "required":
		for _, name := range want.([]any) {
			if _, there := members[name.(string)]; !there {
				return fmt.Errorf(": %s is not there", name)
			}
		}
	case "properties":
		return d.members(s, want.(map[string]any), members, closed)
	case "additionalProperties":
		if s["properties"] == nil {
			return d.members(s, nil, members, closed)
		}
	case "allOf":
		for i, part := range want.([]any) {
			if err := d.valid(part, value, i == 0); err != nil {
				return err
			}
		}
	case "anyOf":
		ok = slices.ContainsFunc(want.([]any), func(one any) bool { return d.valid(one, value, true) == nil })
	default:
		return fmt.Errorf(": the keyword %s is new to the test", keyword)
	}
	if !ok {
		return fmt.Errorf(": %v is not of %s %v", value, keyword, want)
	}
	return nil
}

func (d *description) members(s, properties, members map[string]any, closed bool) error {
	for name, member := range members {
		schema, known := properties[name]
		if !known {
			schema, known = s["additionalProperties"]
		}
		if _, isSchema := schema.(map[string]any); !isSchema {
			if closed && !known {
				return fmt.Errorf(": %s is not described", name)
			}
			continue
		}
		if err := d.valid(schema, member, true); err != nil {
			return fmt.Errorf(".%s%w", name, err)
		}
	}
	return nil
}

func kindOf(value any) string {
	switch reflect.ValueOf(value).Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	case reflect.Map:
		return "object"
	}
	return "null"
}
