package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

func TestADamagedStateIsNotTakenForAnEmptyOne(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 5)), check(key(1)))
	require.NoError(t, err)
	good, err := s.Encode()
	require.NoError(t, err)
	for _, text := range []string{
		string(good[:len(good)-3]), "{}", "null", `{"format":2}`, "\x00\x00", `{"format":1,"format":1}`,
		`{"format":1,"trust":[{"product":"demo/app","built":"00","serial":3,"keys":[]}]}`,
		strings.Replace(string(good), `"keys"`, `"threshold":2,"keys"`, 1),
	} {
		_, err := manifest.ParseState([]byte(text))
		require.ErrorContains(t, err, "the state", text)
	}
	for _, nothing := range [][]byte{nil, {}} {
		empty, err := manifest.ParseState(nothing)
		require.NoError(t, err)
		require.Equal(t, manifest.State{}, *empty)
	}
}
