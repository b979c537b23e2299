package minisign_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2b"

	"github.com/upkeep-go/upkeep/internal/minisign"
)

// The key and the signatures of "test" that the authors of minisign publish
// with their libraries.
const (
	key    = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
	signed = `untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335	file:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
`
	legacy = `untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966	file:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==
`
)

func sum(text string) []byte {
	sum := blake2b.Sum512([]byte(text))
	return sum[:]
}

func verify(t *testing.T, key, text, content string) error {
	t.Helper()
	k, err := minisign.ParseKey(key)
	require.NoError(t, err)
	s, err := minisign.ParseSignature([]byte(text))
	require.NoError(t, err)
	return k.Verify(sum(content), s)
}

func TestAPublishedSignatureIsGood(t *testing.T) {
	require.NoError(t, verify(t, key, signed, "test"))
	require.NoError(t, verify(t, "untrusted comment: minisign public key E7620F1842B4E81F\n"+key+"\n", signed, "test"))
	require.NoError(t, verify(t, key, strings.ReplaceAll(signed, "\n", "\r\n"), "test"))
	require.NoError(t, verify(t, key, strings.TrimSpace(signed), "test"))
	s, err := minisign.ParseSignature([]byte(signed))
	require.NoError(t, err)
	require.Equal(t, "timestamp:1556193335\tfile:test", s.Comment)
}

func TestASignatureThatIsNotGoodIsRefused(t *testing.T) {
	other := "RWT" + key[3:] // another key id
	tests := []struct {
		name               string
		key, text, content string
		err                error
	}{
		{"other content", key, signed, "Test", minisign.ErrForged},
		{"another key", other, signed, "test", minisign.ErrOtherKey},
		{"another comment", key, strings.Replace(signed, "file:test", "file:Test", 1), "test", minisign.ErrForged},
		{"another signature of the comment", key, strings.Replace(signed, "y/rUw", "z/rUw", 1), "test", minisign.ErrForged},
		{"another signature of the content", key, strings.Replace(signed, "559r3g7", "559r3g8", 1), "test", minisign.ErrForged},
		{"one of the whole file", key, legacy, "test", minisign.ErrLegacy},
		{"a hashed one called one of the whole file", key, strings.Replace(signed, "RUQ", "RWQ", 1), "test", minisign.ErrLegacy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorIs(t, verify(t, tt.key, tt.text, tt.content), tt.err)
		})
	}
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	clear(raw[10:])
	zeros := base64.StdEncoding.EncodeToString(raw)
	for _, text := range []string{"", "x", key[:20], key + key, "RUQ" + key[3:], strings.Replace(key, "Q", "?", 1), signed, zeros} {
		_, err := minisign.ParseKey(text)
		require.Error(t, err, text)
	}
}

func TestWhatIsNoSignatureIsRefused(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(signed), "\n")
	join := func(lines ...string) string { return strings.Join(lines, "\n") }
	tests := map[string]string{
		"nothing":              "",
		"a key":                key,
		"one line less":        join(lines[:3]...),
		"one line more":        join(append(lines[:4:4], "more")...),
		"no untrusted comment": join("comment: x", lines[1], lines[2], lines[3]),
		"no trusted comment":   join(lines[0], lines[1], "comment: x", lines[3]),
		"not base64":           join(lines[0], "?"+lines[1][1:], lines[2], lines[3]),
		"cut short":            join(lines[0], lines[1][:40], lines[2], lines[3]),
		"cut short below":      join(lines[0], lines[1], lines[2], lines[3][:40]),
		"an unknown kind":      join(lines[0], "AA"+lines[1][2:], lines[2], lines[3]),
		"a book":               join(lines[0], lines[1], lines[2]+strings.Repeat("x", 10_000), lines[3]),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := minisign.ParseSignature([]byte(text))
			require.ErrorContains(t, err, "minisign: not a signature file")
		})
	}
}

func FuzzParseSignature(f *testing.F) {
	f.Add([]byte(signed))
	f.Add([]byte(legacy))
	k, err := minisign.ParseKey(key)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := minisign.ParseSignature(text); err == nil {
			require.Error(t, k.Verify(sum("something that was never signed"), s))
		}
	})
}
