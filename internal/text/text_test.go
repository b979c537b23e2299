package text_test

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/text"
)

func TestWhatIsCutIsValidAndNoLonger(t *testing.T) {
	require.Equal(t, "short", text.Cut("short", 5))
	require.Equal(t, "sh…", text.Cut("shorter", 5))
	require.Equal(t, "\uFFFD", text.Cut("\xff", 5))
	for n := 3; n < 12; n++ {
		got := text.Cut("äöüäöü", n)
		require.LessOrEqual(t, len(got), n)
		require.True(t, utf8.ValidString(got))
	}
}
