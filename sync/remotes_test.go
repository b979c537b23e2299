package sync_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestARemoteHasANameOfAnyScript(t *testing.T) {
	for _, name := range []string{
		"a", "Notes", "main", "工作笔记", "Tagebuch für Ärzte", "..", ".", "a\\b", "C:", "-", "👩‍👩‍👧", " ", strings.Repeat("x", 63),
		strings.Repeat("字", 21),
	} {
		require.NoError(t, cloudsync.CheckRemoteName(name), "%q", name)
	}
	for name, why := range map[string]string{
		"": "empty", strings.Repeat("x", 64): "64 bytes, more than 63", strings.Repeat("字", 22): "66 bytes", "a\xff": "UTF-8",
		"\xed\xa0\x80": "UTF-8", "a/b": "slash", "/": "slash", "a\x00": "control", "a\nb": "control", "\x7f": "control", "a\u0085": "control",
	} {
		err := cloudsync.CheckRemoteName(name)
		require.ErrorIs(t, err, cloudsync.ErrInvalid, "%q", name)
		require.ErrorContains(t, err, why)
		require.Less(t, len(err.Error()), 400)
	}
}

func TestNamesThatDifferInCaseOnlyFoldToOne(t *testing.T) {
	for _, same := range [][]string{
		{"notes", "Notes", "NOTES"}, {"k", "K", "\u212a"}, {"straße", "STRAßE", "STRA\u1e9eE"}, {"σς", "ΣΣ", "ςσ"}, {"ж", "Ж"},
	} {
		for _, name := range same {
			require.Equal(t, cloudsync.FoldRemoteName(same[0]), cloudsync.FoldRemoteName(name), "%q", same)
			require.True(t, strings.EqualFold(same[0], name))
		}
	}
	for _, other := range [][2]string{{"a", "b"}, {"ä", "a"}, {"straße", "strasse"}, {"a ", "a"}, {"é", "e\u0301"}, {"工", "エ"}} {
		require.NotEqual(t, cloudsync.FoldRemoteName(other[0]), cloudsync.FoldRemoteName(other[1]), "%q", other)
	}
}
