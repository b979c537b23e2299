package manifest_test

import (
	"regexp"
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
		string(good[:len(good)-3]), "{}", "null", `{"format":3}`, "\x00\x00", `{"format":1,"format":1}`,
		`{"format":1,"trust":[{"product":"demo/app","built":"00","serial":3,"keys":[]}]}`,
		strings.Replace(string(good), `"serial":2,"keys"`, `"serial":2,"threshold":2,"keys"`, 1),
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

// A library that knows no threshold would take one key where it takes several.
func TestAStateWithAThresholdIsNoneForAnOlderLibrary(t *testing.T) {
	format := func(s *manifest.State) string {
		text, err := s.Encode()
		require.NoError(t, err)
		return string(text[:len(`{"format":1`)])
	}
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 5)), check(key(1)))
	require.NoError(t, err)
	require.Equal(t, `{"format":1`, format(s))

	var f manifest.File
	turn(t, &f, 1, 2, keys(2, 3), key(1))
	require.NoError(t, f.Sign(body(6), keys(2, 3)...))
	s = new(manifest.State)
	_, err = s.Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)
	require.Equal(t, `{"format":2`, format(s))
	require.Equal(t, `{"format":2`, format(reopen(t, s)))
}

func TestASerialThatNobodyKnowsTheKeysOfIsNotForgotten(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(signed(t, body(30), key(1)), check(key(1)))
	require.NoError(t, err)
	text, err := s.Encode()
	require.NoError(t, err)
	older := regexp.MustCompile(`,"keys":\[[^]]*\]`).ReplaceAll(text, nil) // as an older library writes it
	require.NotEqual(t, text, older)
	s, err = manifest.ParseState(older)
	require.NoError(t, err)
	_, err = s.Accept(signed(t, body(31), key(1)), check(key(1)))
	require.NoError(t, err)
	var f manifest.File
	rotate(t, &f, 1, key(1), key(2))
	require.NoError(t, f.Sign(body(20), key(2)))
	_, err = reopen(t, s).Accept(encode(t, f), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrReplayed)
}
