package syncertest

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// RemotesHarness describes the Remotes under test.
type RemotesHarness struct {
	// Open returns Remotes of which there are none, and cleans up with t.Cleanup.
	Open func(t testing.TB) cloudsync.Remotes
	// Again returns other Remotes of the same state, as another process would open
	// them. Nil if there is no such thing.
	Again func(t testing.TB, first cloudsync.Remotes) cloudsync.Remotes
	// RealTime is set if testing/synctest cannot fake the clock.
	RealTime bool
}

// RunRemotes checks that r keeps every promise of sync.Remotes. Those of what it
// opens are in RunRemote.
func RunRemotes(t *testing.T, h RemotesHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

// remotesTest is what a case works with.
type remotesTest struct {
	testing.TB
	cloudsync.Remotes
	again func() cloudsync.Remotes
}

func (h RemotesHarness) cases() []suitetest.Case {
	start := func(t testing.TB) *remotesTest {
		r := h.Open(t)
		return &remotesTest{t, r, func() cloudsync.Remotes { return h.Again(t, r) }}
	}
	promises := []struct {
		Name string
		Run  func(*remotesTest)
	}{
		{"what is created is listed and opened", (*remotesTest).creates},
		{"names are of any script, and listed in byte order", (*remotesTest).scripts},
		{"what is no name is refused", (*remotesTest).noNames},
		{"names that fold to one are refused", (*remotesTest).folds},
		{"of many creations of a name one wins", (*remotesTest).wins},
		{"one that is not there is not found", (*remotesTest).absent},
		{"remotes do not see each other", (*remotesTest).apart},
		{"a remote is closed by itself", (*remotesTest).closes},
		{"what is removed is gone, with everything in it", (*remotesTest).removes},
		{"nothing is in what is removed while it is open", (*remotesTest).removesOpen},
		{"a list can be left and read again", (*remotesTest).isLeft},
		{"a long list is whole", (*remotesTest).long},
		{"a context that has ended changes and reads nothing", (*remotesTest).ended},
		// With Again only.
		{"other handles see it at once", (*remotesTest).handles},
	}
	if h.Again == nil {
		promises = promises[:len(promises)-1]
	}
	return suitetest.On(start, promises)
}

// create makes remotes.
func (t *remotesTest) create(names ...string) {
	t.Helper()
	for _, name := range names {
		require.NoError(t, t.Create(t.Context(), name), "%q", name)
	}
}

// open opens a remote that is there, and closes it in the end.
func (t *remotesTest) open(r cloudsync.Remotes, name string) *remoteTest {
	t.Helper()
	one, err := r.Open(t.Context(), name)
	require.NoError(t, err, "%q", name)
	t.Cleanup(func() { assert.NoError(t, one.Close()) })
	return &remoteTest{TB: t.TB, Remote: one}
}

// lists checks the names.
func (t *remotesTest) lists(r cloudsync.Remotes, want ...string) {
	t.Helper()
	names := []string{}
	for name, err := range r.List(t.Context()) {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, append([]string{}, want...), names)
}

func (t *remotesTest) creates() {
	t.lists(t)
	t.create("notes")
	t.lists(t, "notes")
	r := t.open(t, "notes")
	r.lists("", "")
	r.puts("d/one")
	t.open(t, "notes").has("d/one", "d/one")
	require.ErrorIs(t, t.Create(t.Context(), "notes"), cloudsync.ErrExists)
	r.has("d/one", "d/one")
	t.lists(t, "notes")
}

// scripts are names in byte order.
var scripts = []string{
	" ", "%", "+", ",", ".", "..", "...", "C:", "NUL", "\\", "_", "a", "a b", "a.", "con.txt", "x" + strings.Repeat("y", 62), "~", "ß",
	"éa", "жук", "שלום", "नमस्ते", strings.Repeat("字", 21), "工作笔记", "👩‍👩‍👧",
}

func (t *remotesTest) scripts() {
	require.True(t, slices.IsSorted(scripts))
	for i := range scripts {
		t.create(scripts[(i*7+3)%len(scripts)])
	}
	t.lists(t, scripts...)
	for _, name := range scripts {
		r := t.open(t, name)
		r.lists("", "")
		r.puts("one")
	}
	for i, name := range scripts {
		require.NoError(t, t.Remove(t.Context(), name), "%q", name)
		t.lists(t, scripts[i+1:]...)
	}
}

func (t *remotesTest) noNames() {
	t.create("one")
	for _, name := range []string{"", strings.Repeat("x", 64), strings.Repeat("字", 22), "a/b", "/", "../x", "a\x00", "a\nb", "\x7f", "\u0085", "a\xff", "\xed\xa0\x80"} {
		require.ErrorIs(t, t.Create(t.Context(), name), cloudsync.ErrInvalid, "%q", name)
		_, err := t.Open(t.Context(), name)
		require.ErrorIs(t, err, cloudsync.ErrNotFound, "%q", name)
		require.NoError(t, t.Remove(t.Context(), name), "%q", name)
	}
	t.lists(t, "one")
}

func (t *remotesTest) folds() {
	t.create("Notes", "straße", "σ", "k")
	for _, name := range []string{"notes", "NOTES", "noteſ", "STRAßE", "STRA\u1e9eE", "Σ", "ς", "K", "\u212a"} {
		require.ErrorIs(t, t.Create(t.Context(), name), cloudsync.ErrExists, "%q", name)
		_, err := t.Open(t.Context(), name)
		require.ErrorIs(t, err, cloudsync.ErrNotFound, "%q: names are as they were written", name)
		require.NoError(t, t.Remove(t.Context(), name), "%q", name)
	}
	t.create("strasse", "note", "notes ")
	t.lists(t, "Notes", "k", "note", "notes ", "strasse", "straße", "σ")
	require.NoError(t, t.Remove(t.Context(), "Notes"))
	t.create("nOTES")
	t.lists(t, "k", "nOTES", "note", "notes ", "strasse", "straße", "σ")
}

func (t *remotesTest) wins() {
	ctx := t.Context()
	for i := range 5 {
		var work sync.WaitGroup
		var errs [16]error
		for j := range errs {
			name := fmt.Sprint("name ", i)
			if j%2 == 1 {
				name = strings.ToUpper(name)
			}
			work.Go(func() { errs[j] = t.Create(ctx, name) })
		}
		work.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, cloudsync.ErrExists)
			}
		}
		require.Equal(t, 1, won)
	}
	n := 0
	for _, err := range t.List(ctx) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 5, n)
}

func (t *remotesTest) absent() {
	t.create("one")
	for _, name := range []string{"two", "on", "one ", "one1"} {
		r, err := t.Open(t.Context(), name)
		require.ErrorIs(t, err, cloudsync.ErrNotFound, name)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
		require.Nil(t, r)
		require.NoError(t, t.Remove(t.Context(), name))
	}
	t.lists(t, "one")
}

func (t *remotesTest) apart() {
	t.create("one", "two", "on", "e")
	one, two := t.open(t, "one"), t.open(t, "two")
	require.NoError(t, one.put("d/same", "first"))
	require.NoError(t, two.put("d/same", "second"))
	one.puts("d/more")
	one.has("d/same", "first")
	two.has("d/same", "second")
	two.lists("", "", "d/same")
	require.NoError(t, two.Delete(t.Context(), "d/more"))
	require.NoError(t, two.Delete(t.Context(), "d/same"))
	one.lists("", "", "d/more", "d/same")
	t.open(t, "on").lists("", "")
}

func (t *remotesTest) closes() {
	t.create("one")
	first, second := t.open(t, "one"), t.open(t, "one")
	first.puts("d/one")
	require.NoError(t, first.Close())
	require.ErrorIs(t, first.put("two", "two"), cloudsync.ErrClosed)
	second.has("d/one", "d/one")
	second.puts("two")
	t.open(t, "one").lists("", "", "d/one", "two")
}

func (t *remotesTest) removes() {
	t.create("one", "two")
	one, two := t.open(t, "one"), t.open(t, "two")
	two.puts("d/kept")
	for i := range 150 {
		one.puts(fmt.Sprintf("d%d/%d", i%3, i))
	}
	require.NoError(t, one.put("large", noise(1, 9<<20)))
	require.NoError(t, one.Close())
	for range 2 {
		require.NoError(t, t.Remove(t.Context(), "one"))
		t.lists(t, "two")
		_, err := t.Open(t.Context(), "one")
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	}
	t.create("one")
	again := t.open(t, "one")
	again.lists("", "")
	again.puts("large")
	again.has("large", "large")
	two.lists("", "", "d/kept")
}

func (t *remotesTest) removesOpen() {
	t.create("one")
	one := t.open(t, "one")
	one.puts("d/one", "two")
	require.NoError(t, t.Remove(t.Context(), "one"))
	for range 2 {
		_, err := read(t.Context(), one.Remote, "d/one", 0, -1)
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
		for _, name := range []string{"d/one", "two", "three", "e/four"} {
			require.ErrorIs(t, one.put(name, "late"), cloudsync.ErrNotFound, name)
		}
		for o, err := range one.List(t.Context(), "", "") {
			require.ErrorIs(t, err, cloudsync.ErrNotFound, "%q", o.Name)
		}
		t.create("one") // is another one
		t.open(t, "one").lists("", "")
		require.NoError(t, t.Remove(t.Context(), "one"))
	}
}

func (t *remotesTest) isLeft() {
	t.create("a", "b", "c")
	list := t.List(t.Context())
	for range 3 {
		for name, err := range list {
			require.NoError(t, err)
			require.Equal(t, "a", name)
			break
		}
	}
	require.NoError(t, t.Remove(t.Context(), "b"))
	var seen []string
	for name, err := range list {
		require.NoError(t, err)
		seen = append(seen, name)
	}
	require.Equal(t, []string{"a", "c"}, seen)
}

func (t *remotesTest) long() {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("name %03d", i))
	}
	t.create(names...)
	t.lists(t, names...)
}

func (t *remotesTest) ended() {
	t.create("one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, t.Create(ctx, "two"), context.Canceled)
	require.ErrorIs(t, t.Remove(ctx, "one"), context.Canceled)
	_, err := t.Open(ctx, "one")
	require.ErrorIs(t, err, context.Canceled)
	n := 0
	for name, err := range t.List(ctx) {
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, name)
		n++
	}
	require.Equal(t, 1, n, "the list ends without an error")
	t.lists(t, "one")
}

func (t *remotesTest) handles() {
	other := t.again()
	t.lists(other)
	t.create("one")
	t.lists(other, "one")
	require.ErrorIs(t, other.Create(t.Context(), "ONE"), cloudsync.ErrExists)
	t.open(other, "one").puts("d/one")
	t.open(t, "one").has("d/one", "d/one")
	require.NoError(t, other.Remove(t.Context(), "one"))
	t.lists(t)
	t.create("ONE")
	t.lists(other, "ONE")
	t.open(other, "ONE").lists("", "")
}
