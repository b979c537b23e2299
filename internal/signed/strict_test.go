package signed_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/signed"
)

type inner struct {
	Size int `json:"size,omitempty"`
}

// Base is embedded.
type Base struct {
	Serial int64 `json:"serial"`
}

type outer struct {
	Base
	Name   string            `json:"name"`
	Plain  bool              // under its own name
	Hidden string            `json:"-"`
	At     time.Time         `json:"at,omitzero"`
	List   []inner           `json:"list,omitempty"`
	One    *inner            `json:"one,omitempty"`
	Marks  map[string]string `json:"marks,omitempty"`
	Any    any               `json:"any,omitempty"`
}

const whole = `{"serial":3,"name":"n","Plain":true,"at":"2026-05-01T12:00:00Z","list":[{"size":1},{"size":2}],"one":{"size":4},` +
	`"marks":{"Name":"x","other":"y"},"any":{"SERIAL":1,"name":[{"x":1}]}}`

func TestATextIsReadByItsExactNames(t *testing.T) {
	var v outer
	require.NoError(t, signed.Decode([]byte(whole), &v))
	again, err := json.Marshal(v)
	require.NoError(t, err)
	require.JSONEq(t, whole, string(again))

	for what, change := range map[string][2]string{
		"a name twice":                   {`"name":"n"`, `"name":"n","name":"m"`},
		"a name twice, in other letters": {`"name":"n"`, `"name":"n","NAME":"m"`},
		"a name twice, escaped":          {`"name":"n"`, `"name":"n","n\u0061me":"m"`},
		"another spelling":               {`"name"`, `"Name"`},
		"another spelling, embedded":     {`"serial":3`, `"Serial":3`},
		"another spelling, in a list":    {`{"size":2}`, `{"Size":2}`},
		"another spelling, by pointer":   {`{"size":4}`, `{"SIZE":4}`},
		"a field without a tag":          {`"Plain"`, `"plain"`},
		"a name twice in a map":          {`"other":"y"`, `"other":"y","name":"z"`},
		"a name twice in anything":       {`"SERIAL":1`, `"SERIAL":1,"serial":2`},
		"two values":                     {`}}`, `}}{}`},
		"no UTF-8":                       {`"n"`, "\"\xff\""},
		"a letter that looks the same":   {`"serial"`, `"ſerial"`},
		"very deep":                      {`[{"x":1}]`, strings.Repeat("[", 16) + strings.Repeat("]", 16)},
	} {
		text := strings.Replace(whole, change[0], change[1], 1)
		require.NotEqual(t, whole, text, what)
		require.ErrorIs(t, signed.Decode([]byte(text), new(outer)), signed.ErrMalformed, what)
		require.ErrorIs(t, signed.DecodeKnown([]byte(text), new(outer)), signed.ErrMalformed, what)
	}
}

func TestANameThatIsNotKnownIsRefusedOrIgnored(t *testing.T) {
	for _, change := range [][2]string{
		{`"name":"n"`, `"name":"n","more":{"a":[1]}`}, {`{"size":2}`, `{"size":2,"more":1}`}, {`"name":"n"`, `"name":"n","Hidden":"x"`},
	} {
		text := []byte(strings.Replace(whole, change[0], change[1], 1))
		require.ErrorIs(t, signed.Decode(text, new(outer)), signed.ErrMalformed)
		var v, want outer
		require.NoError(t, signed.DecodeKnown(text, &v))
		require.NoError(t, signed.Decode([]byte(whole), &want))
		require.Equal(t, want, v)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"list":[{"size":1,"Size":2}],"more":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var strict, known outer
		err := signed.Decode(text, &strict)
		if signed.DecodeKnown(text, &known) != nil {
			require.ErrorIs(t, err, signed.ErrMalformed, "what is wrong to the one is to the other")
			return
		}
		if err != nil {
			return
		}
		require.Equal(t, known, strict)
		again, err := json.Marshal(strict)
		require.NoError(t, err)
		require.NoError(t, signed.Decode(again, new(outer)), string(again))
	})
}
