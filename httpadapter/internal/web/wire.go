package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"
)

// readTimeout is how long a client may take to send a body.
const readTimeout = 30 * time.Second

// body is what a request carried, once somebody has asked for it.
type body struct {
	read bool
	text []byte
	form url.Values // instead of JSON, or nil
	err  error
}

// payload reads the body once, and checks that it is what its Content-Type
// says. The error is a refusal.
func (c *Call) payload() (*body, error) {
	b := &c.body
	if b.read {
		return b, b.err
	}
	b.read = true
	var isForm bool
	if isForm, b.err = c.media(); b.err != nil {
		return b, b.err
	}
	b.text, b.err = io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, c.Route.Body))
	if b.err = unread(b.err); b.err != nil {
		return b, b.err
	}
	switch {
	case isForm && isObject(b.text): // or a client that forgot the header would be told that all is missing
		b.err = BadMedia.With("the body is JSON, Content-Type must be application/json")
	case isForm:
		b.form, b.err = parseOnce(string(b.text), BadBody)
	case len(bytes.TrimSpace(b.text)) == 0:
		b.text = nil
	default:
		if err := Scan(b.text); err != nil {
			b.err = BadBody.With(err.Error())
		}
	}
	return b, b.err
}

// isObject reports whether text is a JSON object, which no form is.
func isObject(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && json.Valid(text)
}

// media tells whether the body is a form; else it is JSON, which is also what
// text/plain and no Content-Type at all mean.
func (c *Call) media() (isForm bool, err error) {
	if c.Route.Plain {
		return false, nil
	}
	header := c.Request.Header.Values("Content-Type")
	if len(header) == 0 {
		return false, nil
	}
	media, parameters, err := mime.ParseMediaType(header[0])
	if err != nil || len(header) > 1 {
		return false, BadMedia.With("malformed Content-Type")
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false, BadMedia.With("charset must be utf-8")
	}
	switch {
	case media == "application/json", media == "text/json", media == "text/plain", strings.HasSuffix(media, "+json"):
		return false, nil
	case media == "application/x-www-form-urlencoded" && c.Route.Form:
		return true, nil
	}
	return false, BadMedia.With("Content-Type must be application/json")
}

// unread is the refusal of a body that cannot be read.
func unread(err error) error {
	if err == nil {
		return nil
	}
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return BodyTooLong
	}
	return BadBody.With("cut short")
}

// setReadDeadline bounds the time for a body: for our reading, and for that of
// the server, which reads to its end what nobody wanted. A body that has been
// read ends the deadline. The server's WriteTimeout counts from the request: it
// is put off as long, or a slow body would never get a reply.
func (c *Call) setReadDeadline() {
	if c.Request.ContentLength == 0 {
		return
	}
	// A ResponseWriter without deadlines is one whose owner sees to them.
	control, end := http.NewResponseController(c.Writer), time.Now().Add(readTimeout)
	_ = control.SetReadDeadline(end)
	server, ok := c.Request.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.WriteTimeout > 0 {
		_ = control.SetWriteDeadline(end.Add(server.WriteTimeout))
	}
}

// Decode fills the struct that v points to from the body: an object, or a form
// where the route takes one. Unknown members are ignored, null and an absent
// member leave a field alone. The error is a refusal.
func (c *Call) Decode(v any) error {
	b, err := c.payload()
	if err != nil {
		return err
	}
	target := reflect.ValueOf(v).Elem()
	if b.form != nil {
		bindForm(b.form, target)
	} else if b.text = bytes.TrimSpace(b.text); len(b.text) == 0 || b.text[0] != '{' {
		err = errors.New("want a JSON object")
	} else {
		err = bind(b.text, target)
	}
	if err != nil {
		return BadBody.With(err.Error())
	}
	return nil
}

// Empty reports whether there is no body, or one of blanks.
func (c *Call) Empty() (bool, error) {
	b, err := c.payload()
	return err == nil && b.form == nil && len(b.text) == 0, err
}

// DecodeOptional is Decode, but no body is an empty object.
func (c *Call) DecodeOptional(v any) error {
	if empty, err := c.Empty(); empty || err != nil {
		return err
	}
	return c.Decode(v)
}

// bind is json.Unmarshal for scanned text, but names match exactly: to
// encoding/json, API_TOKEN is api_token. It looks into structs and slices of
// structs; anything else is encoding/json's.
func bind(text []byte, v reflect.Value) error {
	switch {
	case string(text) == "null":
		return nil
	case v.Kind() == reflect.Pointer && !v.Type().Implements(reflect.TypeFor[json.Unmarshaler]()):
		to := reflect.New(v.Type().Elem())
		if err := bind(text, to.Elem()); err != nil {
			return err
		}
		v.Set(to)
		return nil
	case v.Kind() == reflect.Struct:
		if text[0] != '{' {
			return errors.New("want an object")
		}
		fields := fieldsOf(v.Type())
		for name, value := range members(text) {
			at, known := fields[string(name)]
			if !known {
				continue
			}
			if err := bind(value, v.FieldByIndex(at)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		if text[0] != '[' {
			return errors.New("want an array")
		}
		if v.IsNil() { // an empty list is no absent one
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for element := range elements(text) {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			if err := bind(element, v.Index(v.Len()-1)); err != nil {
				return err
			}
		}
		return nil
	case v.Type() == reflect.TypeFor[string]() && text[0] == '"':
		v.SetString(string(Unquote(text)))
		return nil
	}
	if err := json.Unmarshal(text, v.Addr().Interface()); err != nil {
		kind := jsonKind(v.Type())
		if strings.ContainsRune("aeiou", rune(kind[0])) {
			return errors.New("want an " + kind)
		}
		return errors.New("want a " + kind)
	}
	return nil
}

// bindForm fills the string fields of a struct.
func bindForm(form url.Values, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for name, values := range form {
		if at, known := fields[name]; known {
			v.FieldByIndex(at).SetString(values[0])
		}
	}
}

// jsonKind names what JSON has for the Go type of a field.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "array of strings"
		}
		return "array"
	case reflect.Map:
		return "object"
	}
	return "integer"
}

// fieldCache remembers fieldsOf by type.
var fieldCache sync.Map

// fieldsOf returns where the fields of a struct, and of those that it embeds, are
// by their names in JSON.
func fieldsOf(t reflect.Type) map[string][]int {
	if fields, ok := fieldCache.Load(t); ok {
		return fields.(map[string][]int)
	}
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Index
		}
	}
	fieldCache.Store(t, fields)
	return fields
}
