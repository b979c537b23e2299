package nfd_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/nfd"
)

func TestOneTextHasOneForm(t *testing.T) {
	for _, same := range [][]string{
		{"U\u0308ber.md", "\u00dcber.md"},
		{"A\u030a", "\u00c5", "\u212b"},
		{"\u1112\u1161\u11ab", "\ud55c"},
		{"\u1100\u1161", "\uac00"},
		{"e\u0323\u0302", "e\u0302\u0323", "\u00ea\u0323", "\u1eb9\u0302", "\u1ec7"},
		{"\u03b1\u0345", "\u1fb3"},
		{"plain.md"},
		{"\xff\u00fc"},
		{""},
	} {
		for _, name := range same {
			require.Equal(t, same[0], nfd.Form(name), "%+q", name)
		}
	}
	require.NotEqual(t, nfd.Form("\ufb01"), nfd.Form("fi"), "what only looks alike is another text")
}

func TestFormsAreThoseOfAnotherProgram(t *testing.T) {
	data, err := os.ReadFile("testdata/samples.txt") // 300 made at random, decomposed by Python's unicodedata
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(data)) {
		name, form, found := strings.Cut(line, ";")
		require.True(t, found, line)
		require.Equal(t, text(t, form), nfd.Form(text(t, name)), line)
		require.Equal(t, text(t, form), nfd.Form(text(t, form)), line)
		n++
	}
	require.Equal(t, 300, n)
}

// text are the characters of these numbers.
func text(t *testing.T, numbers string) (s string) {
	for _, n := range strings.Fields(numbers) {
		r, err := strconv.ParseUint(n, 16, 32)
		require.NoError(t, err)
		s += string(rune(r))
	}
	return s
}
