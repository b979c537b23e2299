package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
)

// hostileBodies make something bad of a good object.
var hostileBodies = []struct {
	name string
	make func(good string) string
}{
	{"null", func(string) string { return `null` }},
	{"an array", func(good string) string { return "[" + good + "]" }},
	{"an empty array", func(string) string { return `[]` }},
	{"a bare string", func(string) string { return `"x"` }},
	{"a number", func(string) string { return `1e400` }},
	{"a word", func(string) string { return `hello` }},
	{"a form", func(string) string { return `api_token=x&package=y` }},
	{"truncated", func(good string) string { return good[:len(good)-1] }},
	{"half", func(good string) string { return good[:len(good)/2] }},
	{"garbage at the end", func(good string) string { return good + "x" }},
	{"two values", func(good string) string { return good + good }},
	{"a NUL at the end", func(good string) string { return good + "\x00" }},
	{"a member twice", func(good string) string { return good[:len(good)-1] + "," + good[1:] }},
	{"a member twice by escape", func(good string) string {
		return good[:len(good)-1] + fmt.Sprintf(`,"\u%04x`, good[2]) + good[3:]
	}},
	{"a member twice below", func(good string) string { return member(good, `{"a":1,"a":2}`) }},
	{"invalid UTF-8", func(good string) string { return member(good, "\"\xff\"") }},
	{"overlong UTF-8", func(good string) string { return member(good, "\"\xc0\xaf\"") }},
	{"half a surrogate", func(good string) string { return member(good, `"\ud800"`) }},
	{"halves of a surrogate in the wrong order", func(good string) string { return member(good, `"\ude00\ud83d"`) }},
	{"a byte order mark", func(good string) string { return "\xef\xbb\xbf" + good }},
	{"UTF-16", func(good string) string { return "\xff\xfe{\x00}\x00" }},
	{"a NUL in a string", func(good string) string { return member(good, "\"\x00\"") }},
	{"a line feed in a string", func(good string) string { return member(good, "\"\n\"") }},
	{"65 levels", func(good string) string { return member(good, nested(64)) }},
	{"10,001 levels", func(good string) string { return member(good, nested(10_001)) }},
	{"10,001 levels without an end", func(string) string { return strings.Repeat(`{"a":`, 10_001) }},
	{"a comment", func(good string) string { return good + "//" }},
	{"a comma too many", func(good string) string { return good[:len(good)-1] + ",}" }},
	{"single quotes", func(string) string { return `{'a':1}` }},
	{"a value of no kind", func(good string) string { return member(good, "NaN") }},
	{"a number of no kind", func(good string) string { return member(good, "0x10") }},
	{"a number with a zero before it", func(good string) string { return member(good, "01") }},
	{"a space that is none", func(good string) string { return "\u00a0" + good }},
}

// member adds a member to an object.
func member(object, value string) string { return object[:len(object)-1] + `,"more":` + value + "}" }

// nested returns arrays within arrays.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// bodies are what no route takes, or every one.
func (t target) bodies() (all []input) {
	add := func(name, body string, want int) {
		r := t.good()
		r.body = body
		all = append(all, input{name, r, want})
		r.chunked = true
		all = append(all, input{name + ", in chunks", r, want})
	}
	if t.body == "" {
		for _, body := range []string{"{", strings.Repeat("{", 1<<20), "\x00\xff", "GET " + runs + " HTTP/1.1\r\n\r\n"} {
			add(fmt.Sprintf("a body that nobody reads: %.20q", body), body, ignored)
		}
		return all
	}
	if t.wire.File {
		return t.forms()
	}
	for _, hostile := range hostileBodies {
		add(hostile.name, hostile.make(t.body), http.StatusBadRequest)
	}
	limit := int(t.wire.Body)
	add("a body of just the limit", t.body+strings.Repeat(" ", limit-len(t.body)), served)
	add("a body of a byte more", t.body+strings.Repeat(" ", limit-len(t.body)+1), http.StatusRequestEntityTooLarge)
	add("a string beyond the limit", member(t.body, `"`+strings.Repeat("x", limit)+`"`), http.StatusRequestEntityTooLarge)
	add("no body", "", survived)
	add("a body of spaces", " \r\n\t", survived)
	return append(all, t.media()...)
}

// forms are bodies of a route that takes a file.
func (t target) forms() (all []input) {
	for name, bad := range map[string]string{
		"no body": "", "no form": "hello", "a form without a part": "--x--\r\n", "an open head": "--x\r\nContent-Disposition: form-data; name=\"file\"",
		"another name": strings.Replace(t.body, `"file"`, `"image"`, 1), "half": t.body[:len(t.body)/2], "without its end": t.body[:len(t.body)-4],
		"a part more": strings.TrimSuffix(t.body, "--\r\n") + "\r\nContent-Disposition: form-data; name=\"more\"\r\n\r\n1\r\n--x--\r\n",
		"packed":      strings.Replace(t.body, "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1), "no bundle": formOf([]byte("hello")),
		"an empty bundle": formOf(nil), "a head that is too long": formOf([]byte(firmware.BundleMagic + "\xff\xff\xff\xff{}")),
	} {
		r := t.good()
		r.body = bad
		all = append(all, input{name, r, survived})
		r.chunked = true
		all = append(all, input{name + ", in chunks", r, survived})
	}
	for _, media := range []string{"multipart/form-data", "multipart/mixed; boundary=x", "application/json", "", "multipart/form-data; boundary=\x00"} {
		all = append(all, input{fmt.Sprintf("Content-Type %q", media), t.good().with("Content-Type", media), http.StatusUnsupportedMediaType})
	}
	all = append(all, input{"Content-Encoding gzip", t.good().with("Content-Encoding", "gzip"), http.StatusUnsupportedMediaType})
	r := t.good()
	r.body += strings.Repeat(" ", int(t.wire.Body))
	return append(all, input{"a body of a byte more", r, http.StatusRequestEntityTooLarge})
}

// numbered are further members of an object.
func numbered(n int) []string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`,"more%d":1e-400`, i)
	}
	return members
}

// media are what headers can say of a body.
func (t target) media() (all []input) {
	for _, encoding := range []string{"gzip", "deflate, identity", "identity, gzip", "x", "GZIP"} {
		r := t.good().with("Content-Encoding", encoding)
		r.body = "\x1f\x8b\x08" + strings.Repeat("\x00", 1000)
		all = append(all, input{"Content-Encoding " + encoding, r, http.StatusUnsupportedMediaType})
	}
	for _, media := range []string{
		"multipart/form-data; boundary=x", "multipart/form-data", "text/plain; charset=gbk", "application/json; charset=utf-16",
		"application/octet-stream", "text/html", "\x00", "", "application", "application/json; charset", "application/x-www-form-urlencoded",
	} {
		want := http.StatusUnsupportedMediaType
		switch {
		case t.wire.Plain:
			want = survived
		case t.wire.Form && media == "application/x-www-form-urlencoded":
			want = survived
		}
		all = append(all, input{fmt.Sprintf("Content-Type %q", media), t.good().with("Content-Type", media), want})
	}
	if !t.wire.Plain {
		all = append(all, input{"Content-Type twice", t.good().with("Content-Type", "application/json", "application/json"), http.StatusUnsupportedMediaType})
	}
	return append(all, input{"Content-Type text/plain", t.good().with("Content-Type", "text/plain; charset=UTF-8"), served})
}

// oddValues are JSON values for any member, whatever is expected of it.
var oddValues = slices.Concat([]string{
	"null", "true", "0", "-0", "-1", "50.5", "101", "1e400", "1e-400", "9223372036854775808", "[]", "{}", "[[]]", `[null]`, `[""]`, `{"":""}`,
	nested(50), `["` + strings.Repeat(`a","`, 1000) + `a"]`, `[{"type":"and","rules":[{"field":"a","relation":"regex","value":"(a+)+$"}]}]`,
	`[{"field":"a","relation":"nothing","value":"x"}]`,
}, quoted(append(odd, nested(10_001), "{\"a\":1,\"a\":2}", strings.Repeat("x", 10<<10), "a\u2028b")))

func quoted(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = encodedText(text)
	}
	return all
}

// kinds are values of each kind that JSON has.
var kinds = map[string][]string{
	"string": {`"x"`}, "integer": {"1"}, "boolean": {"true"}, "array": {"[]", "[1]"}, "object": {"{}", `{"a":1}`}, "number": {"1.5", "1e400", "9223372036854775808"},
}

// members are what the table says is in the body, with values of another kind,
// and odd ones.
func (t target) members() (all []input) {
	for name, kind := range t.wire.Members {
		set := func(value string, want int) {
			r := t.good()
			r.body = withMember(r.body, name, value)
			all = append(all, input{fmt.Sprintf("the member %s: %.60s", name, value), r, want})
		}
		for other, values := range kinds {
			if kind == "" || other == kind || strings.Contains(t.Pattern, "/lv/strategy") {
				continue // where JSON may come as such or as a text of it
			}
			for _, value := range values {
				set(value, http.StatusBadRequest)
			}
		}
		for _, value := range oddValues {
			set(value, survived)
		}
		if name == "rules" {
			set("["+strings.Repeat(`{"field":"a","relation":"eq","value":"b"},`, 10_000)+"{}]", survived)
		}
		shouted, want := t.good(), served
		if t.strict() {
			want = http.StatusBadRequest
		}
		shouted.body = withMember(shouted.body, strings.ToUpper(name), `"x"`)
		all = append(all, input{"the member " + strings.ToUpper(name), shouted, want})
	}
	if t.body != "" && !t.wire.File { // a strategy keeps them
		r := t.good()
		r.body = member(r.body, "0"+strings.Join(numbered(1000), ""))
		all = append(all, input{"1,000 members more", r, survived})
	}
	return all
}

func encodedText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// withMember sets a member of an object.
func withMember(object, name, value string) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		panic(err)
	}
	members[name] = json.RawMessage(value)
	return encodedText(members)
}
