package web_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

var good = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `-1.5e+3`, `1E-7`, `1e400`, `""`, `"\"\\\/\b\f\n\r\t\u00e9"`, `"é中😀"`,
	`"\ud83d\ude00"`, ` { "a" : [ 1 , { "a" : "a" } ] , "b" : { } } `, "\t[\r\n]\n",
	`{"a":1,"A":2}`, `{"":1}`, manyNames(100, false),
	strings.Repeat("[", 64) + strings.Repeat("]", 64),
	strings.Repeat(`{"a":`, 63) + `[]` + strings.Repeat("}", 63),
}

func TestScanTakesJSON(t *testing.T) {
	for _, text := range good {
		require.NoError(t, web.Scan([]byte(text)), text)
		require.True(t, json.Valid([]byte(text)), text)
	}
}

var bad = []struct{ name, text, says string }{
	{"nothing", ``, "end"},
	{"a word", `hello`, "character"},
	{"half a word", `nul`, "character"},
	{"a word too long", `nullx`, "character"},
	{"truncated", `{"a":"b"`, "end"},
	{"truncated string", `"abc`, "end"},
	{"truncated escape", `"abc\`, "end"},
	{"garbage after the value", `{}x`, "character"},
	{"two values", `{}{}`, "character"},
	{"trailing comma", `{"a":1,}`, "character"},
	{"trailing comma in an array", `[1,]`, "character"},
	{"no comma", `[1 2]`, "character"},
	{"no colon", `{"a" 1}`, "character"},
	{"unquoted name", `{a:1}`, "character"},
	{"single quotes", `{'a':1}`, "character"},
	{"comment", `{}//`, "character"},
	{"a name twice", `{"a":1,"b":2,"a":1}`, `"a" is repeated`},
	{"a name twice by escape", `{"api_token":1,"\u0061pi_token":2}`, `"api_token" is repeated`},
	{"a name twice below", `[{"x":{"a":1,"a":1}}]`, `"a" is repeated`},
	{"a name twice among many", manyNames(100, true), `"n99" is repeated`},
	{"an empty name twice", `{"":1,"":2}`, "repeated"},
	{"invalid UTF-8", "\"\xff\"", "UTF-8"},
	{"overlong UTF-8", "\"\xc0\xaf\"", "UTF-8"},
	{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", "UTF-8"},
	{"a byte order mark", "\xef\xbb\xbf{}", "byte order mark"},
	{"UTF-16", "{\x00}\x00", "character"},
	{"a high surrogate alone", `"\ud83d"`, "surrogate"},
	{"a low surrogate alone", `"\ude00"`, "surrogate"},
	{"two low surrogates", `"\ude00\ude00"`, "surrogate"},
	{"two high surrogates", `"\ud83d\ud83d"`, "surrogate"},
	{"a high surrogate and a letter", `"\ud83dx"`, "surrogate"},
	{"a high surrogate and an escape", `"\ud83d\n"`, "surrogate"},
	{"a NUL", "\"a\x00b\"", "character"},
	{"a newline in a string", "\"a\nb\"", "character"},
	{"an unknown escape", `"\x41"`, "character"},
	{"a short escape", `"\u12"`, "character"},
	{"a leading zero", `01`, "character"},
	{"a leading plus", `+1`, "character"},
	{"a bare minus", `-`, "end"},
	{"no digit after the point", `1.`, "end"},
	{"no digit before the point", `.5`, "character"},
	{"no exponent", `1e`, "end"},
	{"hexadecimal", `0x10`, "character"},
	{"NaN", `NaN`, "character"},
	{"other digits", `١`, "character"},
	{"no-break space", "\u00a0{}", "character"},
	{"65 levels", strings.Repeat("[", 65) + strings.Repeat("]", 65), "levels"},
	{"10,001 levels", strings.Repeat("[", 10_001), "levels"},
}

func TestScanRefusesWhatParsersReadDifferently(t *testing.T) {
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, web.Scan([]byte(tt.text)), tt.says)
		})
	}
}

// manyNames returns an object with n names, the last one perhaps twice.
func manyNames(n int, twice bool) string {
	var b strings.Builder
	b.WriteString(`{"first":0`)
	for i := range n {
		fmt.Fprintf(&b, `,"n%d":%d`, i, i)
	}
	if twice {
		fmt.Fprintf(&b, `,"n%d":0`, n-1)
	}
	return b.String() + "}"
}

// shape has every kind of field that bodies have.
type shape struct {
	Name   string `json:"name"`
	Count  int    `json:"count,omitempty"`
	On     bool   `json:"on"`
	Part   part   `json:"part"`
	Hidden string `json:"-"`
	Bare   string
	embedded
}

type embedded struct {
	Why string `json:"why"`
}

type part struct {
	ItemID string `json:"itemId"`
}

func TestBindFillsFieldsOfExactlyTheirNames(t *testing.T) {
	var s shape
	text := `{"name":"a\u0062c","NAME":"x","Name":"y","count":3,"Count":4,"on":true,"why":"so","Why":"not","unknown":{"name":"z"},
		"part":{"itemId":"core","ITEMID":"evil"},"-":"h","hidden":"h","Hidden":"h","Bare":"b","bare":"b"}`
	require.NoError(t, web.Scan([]byte(text)))
	require.NoError(t, web.Bind([]byte(text), &s))
	require.Equal(t, shape{Name: "abc", Count: 3, On: true, Part: part{"core"}, embedded: embedded{"so"}}, s)
}

func TestBindLeavesAFieldThatIsNullAlone(t *testing.T) {
	s := shape{Name: "kept", Count: 1, On: true, Part: part{"kept"}}
	require.NoError(t, web.Bind([]byte(`{"name":null,"count":null,"on":null,"part":null}`), &s))
	require.Equal(t, shape{Name: "kept", Count: 1, On: true, Part: part{"kept"}}, s)
}

func TestBindRefusesAnotherTypeAndSaysWhere(t *testing.T) {
	tests := []struct{ text, says string }{
		{`{"name":1}`, "name: want a string"},
		{`{"count":"1"}`, "count: want an integer"},
		{`{"count":1.5}`, "count: want an integer"},
		{`{"count":9223372036854775808}`, "count: want an integer"},
		{`{"count":1e400}`, "count: want an integer"},
		{`{"on":"true"}`, "on: want a boolean"},
		{`{"part":[]}`, "part: want an object"},
		{`{"part":{"itemId":["core"]}}`, "part: itemId: want a string"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			require.EqualError(t, web.Bind([]byte(tt.text), new(shape)), tt.says)
		})
	}
}

// What scan takes is what encoding/json takes, less what parsers read
// differently: then both read the same.
func FuzzScan(f *testing.F) {
	for _, text := range good {
		f.Add([]byte(text))
		f.Add([]byte(`{"name":` + text + `}`))
	}
	for _, tt := range bad {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if web.Scan(text) != nil {
			return
		}
		var want, got map[string]json.RawMessage
		err := json.Unmarshal(text, &want)
		if err != nil {
			require.True(t, json.Valid(text), "%q", text)
			return
		}
		again, err := json.Marshal(want)
		require.NoError(t, err)
		require.NoError(t, web.Scan(again), "what encoding/json makes of it is good too")
		require.NoError(t, json.Unmarshal(again, &got))
		require.Len(t, got, len(want), "no name was there twice")
		require.NotPanics(t, func() { _ = web.Bind(text, new(shape)) })
		var exact struct {
			Name string `json:"name"`
		}
		if web.Bind(text, &exact) == nil && exact.Name != "" {
			var name string
			require.NoError(t, json.Unmarshal(want["name"], &name))
			require.Equal(t, name, exact.Name)
		}
	})
}
