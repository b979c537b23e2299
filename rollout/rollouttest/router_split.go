package rollouttest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func (t *routerTest) inForce() {
	services := t.three()
	for i, percents := range [][]int{{100, 0, 0}, {0, 100, 0}, {0, 0, 100}} {
		t.set(table(int64(i), services, percents...))
		require.Equal(t, map[string]int{string(rune('a' + i)): 10}, t.asked(10))
	}
}

func (t *routerTest) older() {
	services := t.three()
	t.set(table(7, services, 100))
	require.ErrorIs(t, t.router.Set(context.Background(), shop, table(6, services, 0, 100)), rollout.ErrStale)
	require.Equal(t, map[string]int{"a": 10}, t.asked(10))
	t.set(table(8, services, 0, 100))
	require.Equal(t, map[string]int{"b": 10}, t.asked(10))
}

func (t *routerTest) again() {
	services := t.three()
	got := map[string]int{}
	for range 100 {
		t.set(table(1, services, 99, 1))
		got[t.ask()]++
	}
	require.Equal(t, map[string]int{"a": 99, "b": 1}, got)
}

func (t *routerTest) invalid() {
	t.set(table(1, t.three(), 100))
	sticky := table(2, nil, 100)
	sticky.Split.Sticky = &rollout.Sticky{Header: "no name"}
	for what, wrong := range map[string]rollout.Table{
		"a sum of 99": table(2, nil, 99), "an empty endpoint": table(2, map[string][]string{"a": {""}}, 100), "Sticky": sticky,
		"an endpoint twice": table(2, map[string][]string{"a": {"http://10.2.0.1:80", "http://10.2.0.1:80"}}, 100),
	} {
		require.ErrorIs(t, t.router.Set(context.Background(), shop, wrong), rollout.ErrInvalid, what)
	}
	require.Equal(t, map[string]int{"a": 10}, t.asked(10))
	got, err := t.router.Get(context.Background(), shop)
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Generation)
}

func (t *routerTest) callers() {
	fresh := func() rollout.Table {
		w := table(3, map[string][]string{"a": {"http://10.2.0.1:80"}}, 100, 0)
		w.Path = "/shop"
		w.Split.Rules = []rollout.Rule{{Version: "v-b", Run: "b", Priority: 1, Match: rollout.Match{Header: "X", Value: "1"}}}
		w.Split.Sticky = &rollout.Sticky{Header: "X-User"}
		return w
	}
	spoil := func(w rollout.Table) {
		w.Split.Weights[0].Percent, w.Split.Rules[0].Run, w.Split.Sticky.Header = 1, "a", "X"
		w.Endpoints["a"][0] = "http://10.2.0.2:80"
		delete(w.Endpoints, "b")
	}
	given := fresh()
	t.set(given)
	spoil(given)
	for range 2 {
		got, err := t.router.Get(context.Background(), shop)
		require.NoError(t, err)
		require.Equal(t, fresh(), got)
		spoil(got)
	}
}

func (t *routerTest) notFound() {
	_, err := t.router.Get(context.Background(), shop)
	require.ErrorIs(t, err, rollout.ErrNotFound)
}

func (t *routerTest) apart() {
	services := t.three()
	other := rollout.ServiceID{Env: "test", Name: shop.Name}
	t.set(table(5, services, 100))
	require.NoError(t, t.router.Set(context.Background(), other, table(1, services, 0, 100)))
	for range 5 {
		require.Equal(t, "a", t.ask())
		_, body, err := t.send(other)
		require.NoError(t, err)
		require.Equal(t, "b", body)
	}
}

func (t *routerTest) exact() {
	services := t.three()
	for i, percents := range [][]int{{89, 10, 1}, {34, 33, 33}, {50, 50, 0}} {
		t.set(table(int64(i), services, percents...))
		var row []string
		window := map[string]int{}
		for n := range 220 {
			row = append(row, t.ask())
			window[row[n]]++
			if n >= 100 {
				window[row[n-100]]--
			}
			for j, p := range percents {
				require.True(t, n < 99 || window[string(rune('a'+j))] == p, "%v: %v after %d requests", percents, window, n+1)
			}
		}
	}
}

func (t *routerTest) turns() {
	t.set(table(1, map[string][]string{"a": {t.named("1"), t.named("2"), t.named("3")}}, 100))
	require.Equal(t, map[string]int{"1": 20, "2": 20, "3": 20}, t.asked(60))
}

func (t *routerTest) rules() {
	w := table(1, t.three(), 100, 0, 0)
	w.Split.Rules = []rollout.Rule{
		{Run: "c", Priority: 2, Match: rollout.Match{Header: "X-Who", Value: "me"}},
		{Run: "b", Priority: 1, Match: rollout.Match{Header: "X-Who", Value: "me"}},
		{Run: "c", Priority: 3, Match: rollout.Match{Query: "who", Value: "me & you"}},
		{Run: "b", Priority: 4, Match: rollout.Match{Cookie: "who", Value: "me"}},
	}
	w.Split.Sticky = &rollout.Sticky{Header: "X-User"}
	t.set(w)
	of := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("X-Who", name) } }
	require.Equal(t, "b", t.ask(of("me"), func(r *http.Request) { r.Header.Set("X-User", "1") }))
	require.Equal(t, "a", t.ask(of("you")))
	require.Equal(t, "c", t.ask(func(r *http.Request) { r.URL.RawQuery = "x=1&who=me+%26+you" }))
	require.Equal(t, "b", t.ask(func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "who", Value: "me"}) }))
	require.Equal(t, map[string]int{"a": 100}, t.asked(100), "none but a rule reaches what has no share")
}

// visitors says where each of n visitors is, which a header tells apart.
func (t *routerTest) visitors(n int) (at []string) {
	for i := range n {
		at = append(at, t.ask(func(r *http.Request) { r.Header.Set("X-User", fmt.Sprint("user ", i)) }))
	}
	return at
}

func (t *routerTest) stays() {
	w := table(1, t.three(), 50, 50)
	w.Split.Sticky = &rollout.Sticky{Header: "X-User"}
	t.set(w)
	before := t.visitors(61)
	require.Contains(t, before, "a")
	require.Contains(t, before, "b")
	require.Equal(t, before, t.visitors(61))
	w.Generation, w.Split.Rules = 2, []rollout.Rule{{Run: "a", Match: rollout.Match{Header: "X", Value: "1"}}}
	t.set(w)
	require.Equal(t, before, t.visitors(61))
	require.Equal(t, map[string]int{"a": 50, "b": 50}, t.asked(100), "who has no name")
}

func (t *routerTest) grows() {
	services := t.three()
	before := make([]string, 100)
	for i, percents := range [][]int{{90, 10, 0}, {50, 50, 0}, {20, 80, 0}, {10, 40, 50}, {0, 0, 100}} {
		w := table(int64(i), services, percents...)
		w.Split.Sticky = &rollout.Sticky{Header: "X-User"}
		t.set(w)
		grown := "b"
		if percents[2] > 0 {
			grown = "c"
		}
		after := t.visitors(len(before))
		moved := 0
		for j := range after {
			if after[j] != before[j] {
				moved++
				require.True(t, i == 0 || after[j] == grown, "%v: from %q to %q", percents, before[j], after[j])
			}
		}
		require.Positive(t, moved)
		before = after
	}
}

func (t *routerTest) issues() {
	w := table(1, t.three(), 50, 50)
	w.Path = "/shop"
	w.Split.Sticky = &rollout.Sticky{Cookie: "visitor", Issue: true}
	t.set(w)
	seen := map[string]bool{}
	for range 20 {
		reply, first, err := t.send(shop)
		require.NoError(t, err)
		require.Len(t, reply.Cookies(), 1)
		c := reply.Cookies()[0]
		require.Equal(t, "visitor", c.Name)
		require.Equal(t, "/shop", c.Path)
		require.True(t, c.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, c.SameSite)
		require.Zero(t, c.MaxAge)
		require.False(t, seen[c.Value], "somebody has this name")
		seen[c.Value] = true
		for range 3 {
			reply, body, err := t.send(shop, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) })
			require.NoError(t, err)
			require.Equal(t, first, body)
			require.Empty(t, reply.Cookies())
		}
	}
}
