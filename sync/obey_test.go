package sync_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestWhatADeviceIgnoresStaysAsItIs(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write(".syncignore", "/foo\n*.tmp\n!keep.tmp\n")
	a.disk.write("d/x.tmp", "x")
	a.disk.write("d/keep.tmp", "kept")
	a.disk.write("note", "1")
	w.must(a)
	b.disk.write("foo/bar", "of b") // b has no rules yet
	w.must(b)
	w.must(a)
	require.Equal(t, ".syncignore=/foo\n*.tmp\n!keep.tmp\n d/ d/keep.tmp=kept d/x.tmp=x note=1", a.disk.String(), "foo does not come")

	a.disk.write(".syncignore", "*.tmp\n!keep.tmp\n")
	w.settle()
	w.must(a)
	require.NotNil(t, a.disk.all["foo/bar"], "it is not ignored any more")
	require.NotNil(t, b.disk.all["foo/bar"])
	require.Nil(t, b.disk.all["d/x.tmp"])
}

func TestWhatWasSyncedAndIsIgnoredNowStaysOnOthers(t *testing.T) {
	for _, mode := range []cloudsync.Mode{cloudsync.ModeTwoWay, cloudsync.ModeForcePush} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		a.disk.write("foo/bar", "1")
		a.disk.write("note", "1")
		w.settle()
		a.ignores["foo"] = true
		a.disk.remove("foo")
		a.disk.write("note", "2")
		_, err := w.sync(a, new(process), cloudsync.Request{Mode: mode})
		require.NoError(t, err)
		w.must(b)
		require.Equal(t, "foo/ foo/bar=1 note=2", b.disk.String())
		require.Equal(t, "note=2", a.disk.String())
		a.ignores["foo"] = false
		w.settle()
		w.equal()
		require.Equal(t, "foo/ foo/bar=1 note=2", a.disk.String())
	}
}

func TestRulesThatCannotBeReadEndTheSync(t *testing.T) {
	w := newWorld(t, 1)
	a := w.devices[0]
	a.disk.write(".syncignore", "secret\n")
	a.disk.write("secret", "s")
	w.must(a)
	puts := w.cloud.puts
	for text, why := range map[string]string{
		"s\x00e\x00":                           ".syncignore:1: a zero byte",
		"secret\n" + strings.Repeat("x", 5000): ".syncignore:2: a line of more than 4096 bytes",
		strings.Repeat("# no rule\n", 200_000): ".syncignore has 2000000 bytes, at most 1048576 are allowed",
	} {
		a.disk.write(".syncignore", text)
		_, err := w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
		require.ErrorContains(t, err, why)
	}
	a.disk.remove(".syncignore")
	a.disk.folder(".syncignore")
	_, err := w.sync(a, new(process), cloudsync.Request{})
	require.ErrorContains(t, err, ".syncignore is no file")
	require.Equal(t, puts, w.cloud.puts)
}
