package syncertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func (t *remoteTest) names() {
	x := func(n int) string { return strings.Repeat("x", n) }
	names := []string{
		"a", "0", "-", "_", "...", ".a", "a.", "a..b", "-/-", "a./b.", "a-b_c.d/0123456789", x(200), x(200) + "/y", x(201), x(400),
		x(255), x(256) + "/z", x(512), x(511) + "-", x(200) + "-", x(200) + ".", x(200) + "..",
	}
	for _, name := range names {
		require.NoError(t, t.put(name, name), "%q", name)
	}
	for _, name := range names {
		t.has(name, name)
	}
	slices.Sort(names)
	t.lists("", "", names...)
	for i, name := range names {
		t.lists("", name, names[i+1:]...)
		require.NoError(t, t.Delete(t.Context(), name))
		t.lists("", "", names[i+1:]...)
	}
	deep := strings.Repeat("a/", 255) + "ab"
	t.puts(deep)
	t.has(deep, deep)
	t.lists("", "", deep)
}

func (t *remoteTest) noNames() {
	t.puts("one")
	for _, name := range []string{
		"", "/", ".", "..", "/a", "a/", "a//b", "./a", "a/.", "a/./b", "../a", "a/..", "a/../one", "A", "a/B", "ä", "a b", "a\x00", "a\\b",
		"a:b", "a+", "a,", "~", "*", "one\n", strings.Repeat("x", 513), strings.Repeat("a/", 256) + "a",
	} {
		require.ErrorIs(t, t.put(name, "content"), cloudsync.ErrInvalid, "%q", name)
		_, err := t.Get(t.Context(), name, 0, -1)
		require.ErrorIs(t, err, cloudsync.ErrInvalid, "%q", name)
		require.ErrorIs(t, t.Delete(t.Context(), name), cloudsync.ErrInvalid, "%q", name)
	}
	t.lists("", "", "one")
}

func (t *remoteTest) folders() {
	names := []string{"a", "a.b", "a/b", "a/b/c", "a/bc", "ab"}
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}} {
		for _, i := range order {
			t.puts(names[i])
		}
		for _, name := range names {
			t.has(name, name)
		}
		t.lists("", "", names...)
		for _, i := range order {
			require.NoError(t, t.Delete(t.Context(), names[i]))
			t.gone(names[i])
		}
		t.lists("", "")
	}
}

func (t *remoteTest) describes() {
	for i, name := range []string{"d/one", "d/two", "three"} {
		require.NoError(t, t.put(name, strings.Repeat("x", i*1000)))
		t.lists(name, "", name)
		for o, err := range t.List(t.Context(), name, "") {
			require.NoError(t, err)
			require.EqualValues(t, i*1000, o.Size)
			require.WithinDuration(t, t.Now(), o.Time, 5*time.Minute)
		}
	}
}

func (t *remoteTest) times() {
	var last time.Time
	for i := range 20 {
		name := fmt.Sprintf("%02d", 99-i)
		t.puts(name)
		t.lists(name, "", name)
		for o, err := range t.List(t.Context(), name, "") {
			require.NoError(t, err)
			require.False(t, o.Time.Before(last), "%s is before %s", o.Time, last)
			last = o.Time
		}
		time.Sleep(time.Millisecond)
	}
}

func (t *remoteTest) many() {
	ctx := t.Context()
	var work sync.WaitGroup
	for i := range 128 {
		work.Go(func() {
			name, content := fmt.Sprintf("d%d/%d", i%5, i), noise(uint64(i), 100*i)
			if !assert.NoError(t, t.PutIfAbsent(ctx, name, strings.NewReader(content))) {
				return
			}
			got, err := read(ctx, t.Remote, name, 0, -1)
			assert.NoError(t, err)
			assert.True(t, content == got, name)
			t.seesAll(ctx, name)
			if i%2 == 0 {
				assert.NoError(t, t.Delete(ctx, name))
				_, err := read(ctx, t.Remote, name, 0, -1)
				assert.ErrorIs(t, err, cloudsync.ErrNotFound)
				return
			}
			assert.ErrorIs(t, t.PutIfAbsent(ctx, name, strings.NewReader(content)), cloudsync.ErrExists)
		})
	}
	work.Wait()
	var left []string
	for i := 1; i < 128; i += 2 {
		left = append(left, fmt.Sprintf("d%d/%d", i%5, i))
	}
	slices.Sort(left)
	t.lists("", "", left...)
}

// seesAll checks that a list of many writers is in order.
func (t *remoteTest) seesAll(ctx context.Context, name string) {
	last, seen := "", false
	for o, err := range t.List(ctx, "", "") {
		assert.NoError(t, err)
		assert.Greater(t, o.Name, last)
		last, seen = o.Name, seen || o.Name == name
	}
	assert.True(t, seen || t.Behind > 0, name)
}

func (t *remoteTest) closes() {
	t.puts("one")
	require.NoError(t, t.Close())
	require.NoError(t, t.Close())
	require.ErrorIs(t, t.put("two", "two"), cloudsync.ErrClosed)
	require.ErrorIs(t, t.Delete(t.Context(), "one"), cloudsync.ErrClosed)
	_, err := t.Get(t.Context(), "one", 0, -1)
	require.ErrorIs(t, err, cloudsync.ErrClosed)
	n := 0
	for _, err := range t.List(t.Context(), "", "") {
		require.ErrorIs(t, err, cloudsync.ErrClosed)
		n++
	}
	require.Equal(t, 1, n, "the list ends without an error")
	if t.Again != nil {
		t.Remote = t.Again(t, t.Remote)
		t.has("one", "one")
		t.lists("", "", "one")
	}
}
