package lv_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestCanonical(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"names are sorted, at every depth":        {`{"b":{"d":1,"c":[{"z":1,"y":2}]},"a":2}`, `{"a":2,"b":{"c":[{"y":2,"z":1}],"d":1}}`},
		"white space goes":                        {" { \"a\" :\t[ 1 ,\n2 , { } , [ ] ] } \r\n", `{"a":[1,2,{},[]]}`},
		"numbers stay as they were written":       {`[9007199254740993,1.0,1,-0,1e3,0.10]`, `[9007199254740993,1.0,1,-0,1e3,0.10]`},
		"escapes that JSON does not need go":      {`"\u0041\/\u00e9\ud83d\ude00\u2028<\u003c"`, "\"A/é😀\u2028<<\""},
		"escapes that JSON needs have one form":   {`"\n\u000a\t\"\u0022\\\u005c\b\f\r"`, `"\u000a\u000a\u0009\"\"\\\\\u0008\u000c\u000d"`},
		"escaped names sort as what they mean":    {`{"b":1,"\u0061":2}`, `{"a":2,"b":1}`},
		"a name sorts before those it begins":     {`{"ab":1,"a":2,"a!":3,"":4}`, `{"":4,"a":2,"a!":3,"ab":1}`},
		"the order of an array is kept":           {`[3,1,2]`, `[3,1,2]`},
		"scalars are contents too":                {" null ", `null`},
		"empty objects":                           {`{ "a" : { } }`, `{"a":{}}`},
		"a name may stand in two objects":         {`[{"a":1},{"a":2}]`, `[{"a":1},{"a":2}]`},
		"literals":                                {`[true , false,null ]`, `[true,false,null]`},
		"text that looks like structure is text":  {`{"a":"}{\"],:"}`, `{"a":"}{\"],:"}`},
		"the character that stands for bad UTF-8": {`"\ufffd"`, "\"\ufffd\""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := lv.Canonical(json.RawMessage(tt.in))
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
			again, err := lv.Canonical(got)
			require.NoError(t, err)
			require.Equal(t, string(got), string(again), "the canonical form of the canonical form")
		})
	}
}

func TestCanonicalRefusesWhatHasNoOneMeaning(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                      ``,
		"no JSON":                      `{"a":}`,
		"two values":                   `{} {}`,
		"a name twice":                 `{"x":[{"a":1,"b":2,"a":3}]}`,
		"a name twice, once escaped":   `{"a":1,"\u0061":1}`,
		"bytes that are not UTF-8":     "\"\xff\"",
		"half a surrogate pair":        `"\ud800"`,
		"the other half":               `"\udc00x"`,
		"two first halves":             `"\ud800\ud800"`,
		"half a pair and an escape":    `"\ud800\n"`,
		"a comma at the end":           `[1,]`,
		"a nesting that goes too deep": strings.Repeat("[", 1001) + strings.Repeat("]", 1001),
		"one no decoder would follow":  strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lv.Canonical(json.RawMessage(in))
			require.ErrorIs(t, err, lv.ErrInvalid)
			_, err = lv.Digest(json.RawMessage(in))
			require.ErrorIs(t, err, lv.ErrInvalid)
		})
	}
}

func TestCanonicalLeavesItsInputAlone(t *testing.T) {
	in := []byte(`{"b":1, "a":2}`)
	before := bytes.Clone(in)
	_, err := lv.Canonical(in)
	require.NoError(t, err)
	require.Equal(t, before, in)
}

func TestDigestIsTheSameForTheSameContent(t *testing.T) {
	digest := func(s string) [32]byte {
		d, err := lv.Digest(json.RawMessage(s))
		require.NoError(t, err)
		return d
	}
	require.Equal(t, digest(`{"a":1,"b":2}`), digest(` {"b":2, "a":1}`))
	require.NotEqual(t, digest(`{"a":1}`), digest(`{"a":1.0}`))
}

// FuzzCanonical compares with what encoding/json makes of the same text.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"b":{"d":1,"c":[]},"a":"\u00e9\ud83d\ude00"}`, ` [ 1 , "x\n" , {} ] `, `{"a":1,"a":2}`, `"\ud800"`, `1e9`, `{"":{"":[[]]}}`,
	} {
		f.Add([]byte(seed))
	}
	decode := func(in []byte) (v any, err error) {
		d := json.NewDecoder(bytes.NewReader(in))
		d.UseNumber()
		err = d.Decode(&v)
		return v, err
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := lv.Canonical(in)
		if err != nil {
			require.ErrorIs(t, err, lv.ErrInvalid)
			return
		}
		want, err := decode(in)
		require.NoError(t, err, "took what encoding/json refuses")
		meant, err := decode(got)
		require.NoError(t, err)
		require.Equal(t, want, meant)
		again, err := lv.Canonical(got)
		require.NoError(t, err)
		require.Equal(t, string(got), string(again))
		// Another spelling of the same value has the same canonical form.
		other, err := json.MarshalIndent(want, " ", "\t")
		require.NoError(t, err)
		if same, err := decode(other); err == nil && json.Valid(other) {
			require.Equal(t, want, same)
			fromOther, err := lv.Canonical(other)
			require.NoError(t, err)
			require.Equal(t, string(got), string(fromOther))
		}
	})
}
