package manifest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// What programs have been sent, and what they have kept, is written alike for
// ever.
func TestFilesAndStatesStayAsTheyWere(t *testing.T) {
	file, err := os.ReadFile("testdata/rotated.json")
	require.NoError(t, err)
	require.Equal(t, string(file), string(encode(t, chain(t, 5))))

	state, err := os.ReadFile("testdata/state.json")
	require.NoError(t, err)
	s := new(manifest.State)
	_, err = s.Accept(file, check(key(1)))
	require.NoError(t, err)
	text, err := s.Encode()
	require.NoError(t, err)
	require.Equal(t, string(state), string(text))
}
