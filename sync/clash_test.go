package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/nfd"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

const composed, decomposed = "\u00dcber.md", "U\u0308ber.md"

// decomposing are two devices, of which the second gives names back decomposed.
func decomposing(t *testing.T) (w *world, a, b *device) {
	w = newWorld(t, 2)
	a, b = w.devices[0], w.devices[1]
	b.caps.Normal, b.disk.nfd = nfd.Form, true
	return w, a, b
}

func TestANameInAnotherFormIsTheSameFile(t *testing.T) {
	w, a, b := decomposing(t)
	a.disk.write(composed, "1")
	a.disk.write("d\u00e9/"+composed, "2")
	w.must(a)
	w.must(b)
	require.Equal(t, decomposed+"=1 de\u0301/ de\u0301/"+decomposed+"=2", b.disk.String())
	puts := w.cloud.puts
	require.False(t, w.must(b).Committed)
	require.Equal(t, puts, w.cloud.puts)

	b.disk.write(decomposed, "by b")
	b.disk.remove("de\u0301/" + decomposed)
	w.must(b)
	w.must(a)
	require.Equal(t, "d\u00e9/ "+composed+"=by b", a.disk.String())
	require.False(t, w.must(b).Committed)
}

func TestANameThatTheRemoteHasInAnotherFormIsNotMadeTwice(t *testing.T) {
	w, a, b := decomposing(t)
	a.disk.write(composed, "1")
	b.disk.write(composed, "1") // it was copied by hand
	w.must(a)
	require.False(t, w.must(b).Committed)
	clear(b.notes)
	b.disk.write(composed, "2")
	w.must(b)
	w.settle()
	require.Equal(t, 2, len(a.disk.all)-1, "both edits are kept: %s", a.disk)
	require.NotContains(t, a.disk.String(), decomposed+"=")
}

func TestOfTwoFormsOfANameOneIsLeftWhereItIs(t *testing.T) {
	for _, mode := range []cloudsync.Mode{"", cloudsync.ModeForcePush} {
		w, a, b := decomposing(t)
		a.disk.write(composed, "1")
		a.disk.write(decomposed, "2")
		w.must(a)
		r := w.must(b)
		require.Len(t, r.Problems, 1)
		require.Contains(t, r.Problems[0].Reason, "its name differs only in its Unicode form from ")
		b.disk.now += 8
		_, err := w.sync(b, new(process), cloudsync.Request{Mode: mode})
		require.NoError(t, err)
		w.must(a)
		require.Equal(t, decomposed+"=2 "+composed+"=1", a.disk.String(), "%q", mode)
	}
}

func TestAFolderThatMovesToWhereNamesAreOneDeletesNothing(t *testing.T) {
	w, a, b := decomposing(t)
	b.caps.Normal, b.disk.nfd = nil, false
	for _, name := range []string{composed, decomposed, "a.md", "A.md"} {
		a.disk.write(name, name)
	}
	w.must(a)
	w.must(b)
	before := a.disk.String()
	require.Equal(t, before, b.disk.String())
	delete(b.disk.all, composed) // a copy to another disk has what that can hold
	delete(b.disk.all, "a.md")
	b.caps.Normal, b.disk.nfd = nfd.Form, true
	b.caps.CaseSensitive, b.disk.dull = false, true
	require.Len(t, w.must(b).Problems, 2)
	w.settle()
	require.Equal(t, before, a.disk.String())
}

func TestWhatIsIgnoredIsSoInEachForm(t *testing.T) {
	w, a, b := decomposing(t)
	b.ignores[composed] = true
	b.disk.write(composed, "of b")
	w.must(b)
	b.disk.write(".syncignore", "/d\u00e9/x\n")
	b.disk.write("d\u00e9/x", "of b too")
	w.must(b)
	w.must(a)
	require.Equal(t, ".syncignore=/d\u00e9/x\n de\u0301/", a.disk.String())
	a.disk.write(composed, "of a")
	a.disk.write("de\u0301/y", "2")
	w.must(a)
	w.must(b)
	require.Equal(t, "of b", b.disk.all[decomposed].content)
	require.NotNil(t, b.disk.all["de\u0301/y"], "%s", b.disk)
}
