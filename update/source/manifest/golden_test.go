package manifest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// What programs were sent before there were thresholds is written alike for ever,
// and what they kept then is read.
func TestFilesAndStatesOfOldAreGood(t *testing.T) {
	file, err := os.ReadFile("testdata/rotated.json")
	require.NoError(t, err)
	require.Equal(t, string(file), string(encode(t, chain(t, 5))))
	_, err = new(manifest.State).Accept(file, check(key(1)))
	require.NoError(t, err)

	kept, err := os.ReadFile("testdata/state.json")
	require.NoError(t, err)
	s, err := manifest.ParseState(kept)
	require.NoError(t, err)
	text, err := s.Encode()
	require.NoError(t, err)
	require.Equal(t, string(kept), string(text))
	_, err = s.Accept(file, check(key(1)))
	require.NoError(t, err)
	_, err = s.Accept(signed(t, body(6), key(1)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrSignature)
	_, err = s.Accept(signed(t, body(4), key(3)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrReplayed)
}
