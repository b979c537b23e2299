package syncertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func (t *storeTest) empty() {
	t.has()
	t.lists(t.FolderStore, "a")
	t.update(1)
	t.has()
}

// keys are some in byte order, with bytes that mean something elsewhere.
var keys = []string{
	"\x00", "%", "A", "_", "a", "a\x00", "a\x00\xff", "a%", "a/", "a/b", "a/b\xff", "a/b\xff\xff", "a0", "aa", "ab", "b", "ä", "\xfe", "\xff", "\xff\x00",
	"\xff\xff", "\xff\xff\xff",
}

func (t *storeTest) writeKeys() {
	var entries []cloudsync.Entry
	for i := range keys {
		k := keys[(i*7+3)%len(keys)]
		entries = append(entries, entry(k, "of "+k))
	}
	t.update(0, entries...)
}

func (t *storeTest) roundTrip() {
	t.writeKeys()
	var want []string
	for _, k := range keys {
		want = append(want, k, "of "+k)
	}
	t.has(want...)
	long := strings.Repeat("k", 4<<10)
	t.update(0, entry(long, "\x00\xff"), entry("a", ""))
	t.lists(t.FolderStore, "kkk", long, "\x00\xff")
	for _, e := range t.listed(t.FolderStore, "a") {
		require.NotNil(t, e.Value, "%q", e.Key)
	}
}

func (t *storeTest) gets() {
	t.writeKeys()
	t.update(0, entry("empty", ""))
	for _, k := range keys {
		value, err := t.Get(t.Context(), k)
		require.NoError(t, err, "%q", k)
		require.Equal(t, "of "+k, string(value))
		clear(value)
	}
	value, err := t.Get(t.Context(), "empty")
	require.NoError(t, err)
	require.Equal(t, []byte{}, value)
	for _, k := range []string{"", "of a", "empt", "empty\x00"} {
		_, err := t.Get(t.Context(), k)
		require.ErrorIs(t, err, cloudsync.ErrNotFound, "%q", k)
	}
	t.update(0, cloudsync.Entry{Key: "empty"})
	_, err = t.Get(t.Context(), "empty")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	_, err = t.store.SyncState("another").Get(t.Context(), keys[0])
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	value, err = t.Get(t.Context(), keys[0])
	require.NoError(t, err)
	require.Equal(t, "of "+keys[0], string(value), "it was the caller's")
}

func (t *storeTest) prefixed() {
	t.writeKeys()
	for _, prefix := range append([]string{"c", "a/b/c", "%a", "\xff\xff\xff\xff", "\x00\x00"}, keys...) {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k, "of "+k)
			}
		}
		t.lists(t.FolderStore, prefix, want...)
	}
}

func (t *storeTest) isLeft() {
	t.update(0, entry("a", "1"), entry("b", "2"))
	list := t.List(t.Context(), "")
	for range 3 {
		for e, err := range list {
			require.NoError(t, err)
			require.Equal(t, "a", e.Key)
			break
		}
	}
	t.update(0, entry("b", "3"))
	var seen []cloudsync.Entry
	for e, err := range list {
		require.NoError(t, err)
		seen = append(seen, e)
	}
	require.Equal(t, []cloudsync.Entry{entry("a", "1"), entry("b", "3")}, seen, "it is read again, not remembered")
}

func (t *storeTest) oneMoment() {
	const n = 600
	var old, new []cloudsync.Entry
	for i := range n {
		old = append(old, entry(fmt.Sprintf("%03d", i), "old"))
		new = append(new, entry(fmt.Sprintf("%03d", i), "new"), entry(fmt.Sprintf("%03d+", i), "new"))
	}
	t.update(0, old...)
	seen := 0
	for e, err := range t.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, old[seen], e, "a list mixes two moments")
		if seen++; seen == 2 {
			t.update(0, new...)
		}
	}
	require.Equal(t, n, seen)
	require.Equal(t, new, t.listed(t.FolderStore, ""))
}

func (t *storeTest) replaces() {
	t.update(1, entry("a", "1"), entry("b", "2"), entry("c", ""))
	t.update(1, entry("a", "longer"), cloudsync.Entry{Key: "b"}, cloudsync.Entry{Key: "never"})
	t.has("a", "longer", "c", "")
	t.update(1, entry("a", ""), cloudsync.Entry{Key: "c"}, entry("b", "again"))
	t.has("a", "", "b", "again")
}

func (t *storeTest) twice() {
	t.update(0, entry("a", "1"), entry("b", "1"), entry("a", "2"), cloudsync.Entry{Key: "b"})
	t.has("a", "2")
	t.update(0, cloudsync.Entry{Key: "a"}, entry("a", "3"))
	t.has("a", "3")
}

func (t *storeTest) large() {
	value := noise(1, 20<<20)
	t.update(0, entry("large", value), entry("small", "1"))
	got := t.listed(t.FolderStore, "large")
	require.Len(t, got, 1)
	require.True(t, value == string(got[0].Value))
}

func (t *storeTest) limits() {
	t.update(7, entry("a", "1"))
	refused := func(token int64, entries ...cloudsync.Entry) {
		t.Helper()
		seq, err := t.Update(t.Context(), token, entries, about("1"))
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
		require.Zero(t, seq)
	}
	refused(-1)
	refused(8, entry("", "x"))
	refused(8, cloudsync.Entry{})
	refused(8, entry(strings.Repeat("k", 4<<10+1), "x"))
	refused(8, cloudsync.Entry{Key: strings.Repeat("k", 4<<10+1)})
	refused(8, cloudsync.Entry{Key: "big", Value: make([]byte, 64<<20+1)})
	t.update(7, entry("a", "2"))
	t.has("a", "2")
}

func (t *storeTest) whole() {
	t.updates(5, 1)
	for _, bad := range []struct {
		token   int64
		entries []cloudsync.Entry
		is      error
	}{
		{4, []cloudsync.Entry{entry("b", "half")}, cloudsync.ErrStale},
		{4, []cloudsync.Entry{{Key: "n"}}, cloudsync.ErrStale},
		{6, []cloudsync.Entry{entry("b", "half"), {Key: "n"}, entry("", "x")}, cloudsync.ErrInvalid},
	} {
		seq, err := t.Update(t.Context(), bad.token, bad.entries, about("1"), about("1"))
		require.ErrorIs(t, err, bad.is)
		require.Zero(t, seq)
		t.has("n", "1")
	}
	t.updates(5, 2) // not by what token 6 left, nor after its events
	t.has("n", "2")
}

// updates writes the entry n, and the event of that number.
func (t *storeTest) updates(token int64, n int) {
	t.Helper()
	seq, err := t.Update(t.Context(), token, []cloudsync.Entry{entry("n", fmt.Sprint(n))}, about(fmt.Sprint(n)))
	require.NoError(t, err)
	require.EqualValues(t, n, seq)
}

func (t *storeTest) atOnce() {
	ctx := t.Context()
	var work sync.WaitGroup
	const writers, times = 8, 10
	for w := range writers {
		work.Go(func() {
			for i := range times {
				value := fmt.Sprint(w, " ", i)
				entries := []cloudsync.Entry{entry("a", value), entry(fmt.Sprint("own ", w), value), entry("z", value)}
				_, err := t.Update(ctx, 1, entries, about(value))
				assert.NoError(t, err)
				var seen []string
				for e, err := range t.List(ctx, "") {
					if assert.NoError(t, err) && len(e.Key) == 1 {
						seen = append(seen, string(e.Value))
					}
				}
				assert.Len(t, slices.Compact(seen), 1, "a list has parts of two updates")
			}
		})
	}
	work.Wait()
	require.Len(t, t.listed(t.FolderStore, "own "), writers)
	require.Len(t, t.events(t.FolderStore, 0, writers*times), writers*times)
}

func (t *storeTest) overtaken() {
	t.update(5, entry("a", "1"))
	t.update(5, entry("a", "2"))
	for _, token := range []int64{1, 4} {
		_, err := t.Update(t.Context(), token, []cloudsync.Entry{entry("a", "late")})
		require.ErrorIs(t, err, cloudsync.ErrStale)
	}
	t.update(9) // of nothing
	_, err := t.Update(t.Context(), 8, nil, about("late"))
	require.ErrorIs(t, err, cloudsync.ErrStale)
	t.update(1<<53, entry("a", "3"))
	_, err = t.Update(t.Context(), 1<<53-1, []cloudsync.Entry{entry("a", "late")})
	require.ErrorIs(t, err, cloudsync.ErrStale)
	t.has("a", "3")
}

func (t *storeTest) wishes() {
	t.update(0, entry("a", "first of all"))
	t.update(5, entry("a", "1"))
	t.update(0, entry("a", "wish"))
	t.has("a", "wish")
	_, err := t.Update(t.Context(), 4, []cloudsync.Entry{entry("a", "late")})
	require.ErrorIs(t, err, cloudsync.ErrStale, "the token that has written stays")
	t.update(5, entry("b", "2"))
	t.has("a", "wish", "b", "2")
}

func (t *storeTest) apart() {
	names := []string{"", "Notes", "notes ", "notes\x00", "\xff", strings.Repeat("n", 300)}
	t.update(9, entry("a", "mine"))
	for i, name := range names {
		other := t.store.SyncState(name)
		t.lists(other, "")
		seq, err := other.Update(t.Context(), int64(i)+1, []cloudsync.Entry{entry("a", name)}, about(name))
		require.NoError(t, err, "tokens are those of a folder")
		require.EqualValues(t, 1, seq, "events are those of a folder")
	}
	t.has("a", "mine")
	for _, name := range names {
		t.lists(t.store.SyncState(name), "", "a", name)
	}
}

func (t *storeTest) ended() {
	t.updates(1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := t.Update(ctx, 9, []cloudsync.Entry{entry("n", "dropped")}, about("dropped"))
	require.ErrorIs(t, err, context.Canceled)
	_, err = t.Get(ctx, "n")
	require.ErrorIs(t, err, context.Canceled)
	n := 0
	for e, err := range t.List(ctx, "") {
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, e)
		n++
	}
	require.Equal(t, 1, n, "the list ends without an error")
	t.has("n", "1")
	t.updates(1, 2)
}

func (t *storeTest) argumentsAreCopied() {
	e, events := entry("a", "as written"), []cloudsync.Event{about("as written")}
	_, err := t.Update(t.Context(), 0, []cloudsync.Entry{e}, events...)
	require.NoError(t, err)
	require.Equal(t, about("as written"), events[0], "what was given is changed")
	copy(e.Value, "CHANGED!!!")
	events[0].Run = "changed"
	t.has("a", "as written")
	require.Equal(t, "as written", t.events(t.FolderStore, 0, 1)[0].Run)
}

func (t *storeTest) resultsAreCopies() {
	t.update(0, entry("a", "as written"))
	for range 2 {
		got := t.listed(t.FolderStore, "")
		require.Equal(t, "as written", string(got[0].Value))
		copy(got[0].Value, "CHANGED!!!")
	}
}

func (t *storeTest) handles() {
	other := t.again()
	t.updates(5, 1)
	t.lists(other, "", "n", "1")
	seq, err := other.Update(t.Context(), 6, []cloudsync.Entry{entry("n", "2")}, about("2"))
	require.NoError(t, err)
	require.EqualValues(t, 2, seq)
	t.has("n", "2")
	_, err = t.Update(t.Context(), 5, []cloudsync.Entry{entry("n", "late")})
	require.ErrorIs(t, err, cloudsync.ErrStale)
	t.updates(6, 3)
	t.lists(other, "", "n", "3")
	require.Len(t, t.events(other, 0, 3), 3)
}
