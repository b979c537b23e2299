package lv_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

var jsonTexts = []string{
	``, ` `, `{}`, `[]`, `"`, `""`, `0`, `-0`, `01`, `-`, `1.`, `.1`, `1.0`, `1e`, `1e+`, `1E-07`, `-1.5e+10`, `+1`, `1 2`, `{"a":1,}`, `[1,]`, `[,1]`,
	`{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`, `nul`, `null`, `nulls`, `true`, `falsey`, `"\u12"`, `"\u12aF"`, `"\x"`, `"\`, `"\"`, `"\\"`,
	"\"\n\"", "\"\x7f\"", " \t\r\n[ 1 , { \"a\" : [ null ] } ] \n", "\v1", "\ufeff1", `{"a":{"b":[{"c":"d"}]}}`, `"\ud800"`, "\"\xff\"", `[`, `{`, `]`, `{"`, `[[[`,
	`{"name":"row 7","n":-12.50e3,"t":[true,false,null,"\"\\\/\b\f\n\r\tA"]}`,
	strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	strings.Repeat(`{"":`, 10_000) + `1` + strings.Repeat("}", 10_000), strings.Repeat(`{"":`, 10_001) + `1` + strings.Repeat("}", 10_001),
}

func TestWhatIsJSONIsWhatEncodingJSONTakesForIt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, text := range jsonTexts {
		require.Equal(t, json.Valid([]byte(text)), lv.IsValid([]byte(text)), "%.80q", text)
		for range 2000 { // with a few other bytes in it
			if len(text) > 1000 || text == "" {
				break
			}
			other := []byte(text)
			for range 1 + random.IntN(3) {
				other[random.IntN(len(other))] = "{}[]\",:\\ue0-+.1tfn x\n\x00\xff"[random.IntN(23)]
			}
			other = other[:len(other)-random.IntN(2)]
			require.Equal(t, json.Valid(other), lv.IsValid(other), "%q", other)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { require.Equal(t, json.Valid(text), lv.IsValid(text)) })
}
