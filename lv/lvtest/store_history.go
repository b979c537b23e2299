package lvtest

import (
	"fmt"
	"math"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// saveMany makes n versions of rows a, b and c in turn, and returns them
// newest first.
func (t *storeTest) saveMany(n int) (versions []lv.Version) {
	t.Helper()
	for i := range n {
		versions = append(versions, t.save(string(rune('a'+i%3)), fmt.Sprint(i)))
	}
	slices.Reverse(versions)
	return versions
}

func historyNewest(t *storeTest) {
	require.Empty(t, t.history(lv.Query{}))
	want := t.saveMany(20)
	require.Equal(t, want, t.history(lv.Query{}), "history is newest first")
	var ofB []lv.Version
	for _, v := range want {
		if v.Row == "b" {
			ofB = append(ofB, v)
		}
	}
	require.Equal(t, ofB, t.history(lv.Query{Row: "b"}), "history of a row")
	require.Equal(t, ofB[2:], t.history(lv.Query{Row: "b", After: int64(ofB[1].ID)}), "history after a version")
	require.Equal(t, want[5:], t.history(lv.Query{After: int64(want[4].ID)}), "history after a version")
	require.Equal(t, ofB[2:], t.history(lv.Query{Row: "b", After: int64(ofB[2].ID) + 1}), "history after a place")
	require.Equal(t, want, t.history(lv.Query{After: math.MaxInt64}))
	require.Empty(t, t.history(lv.Query{After: int64(want[19].ID)}))
	require.Empty(t, t.history(lv.Query{Row: "never"}))
	require.Empty(t, t.history(lv.Query{Row: "B"}))
}

func historyPages(t *storeTest) {
	want := t.saveMany(60)
	var got []lv.Version
	for q := (lv.Query{}); len(got) <= len(want); q.After = int64(got[len(got)-1].ID) {
		page := first(t, 7, t.Versions(t.Context(), pages, q))
		got = append(got, page...)
		if len(page) < 7 {
			break
		}
		t.save("new", fmt.Sprint(len(got)))
	}
	require.Equal(t, want, got, "pages join into the list as it was when it was begun")
}

func historyLive(t *storeTest) {
	v1 := t.save("a", "1")
	live := func(v lv.Version, why string, want ...lv.Env) {
		t.Helper()
		require.Equal(t, want, t.version(v).Live, why)
	}
	live(v1, "a working row is not live", []lv.Env(nil)...)
	t.publish(lv.Production, "a")
	t.publish(green, "a")
	t.publish(blue, "a")
	live(v1, "environments come by name, Production first", lv.Production, blue, green)
	v2 := t.save("a", "2")
	t.publish(lv.Production, "a")
	t.release(blue, lv.Change{Row: "a"})
	live(v1, "a gray keeps its pointer", green)
	live(v2, "a gray that follows production points nowhere", lv.Production)
	d := t.remove("a")
	t.publish(green, "a")
	live(d, "a deletion is live where it is published", green)
	live(v1, "no environment points here any more", []lv.Env(nil)...)
}

func releasesListed(t *storeTest) {
	require.Empty(t, t.releases(lv.Query{}))
	a, b := t.save("a", "1"), t.save("b", "1")
	var want []lv.Release
	put := func(r lv.Release) lv.Release {
		r = plain(t.put(r))
		want = append([]lv.Release{r}, want...)
		return r
	}
	put(applied(lv.Production, to(a)))
	put(applied(green, to(a), to(b)))
	plan := put(draft(to(b)))
	put(lv.Release{State: lv.ReleaseScheduled, Changes: []lv.Change{to(a)}, At: year2020})
	put(lv.Release{State: lv.ReleaseScheduled, Env: green, Changes: []lv.Change{to(b)}, At: year2020})
	put(applied(blue, to(a)))
	pick := func(places ...int) (picked []lv.Release) {
		for _, i := range places {
			picked = append(picked, want[i])
		}
		return picked
	}
	for _, c := range []struct {
		q      lv.Query
		places []int
	}{
		{lv.Query{}, []int{0, 1, 2, 3, 4, 5}},
		{lv.Query{Row: "a"}, []int{0, 2, 4, 5}},
		{lv.Query{Row: "b"}, []int{1, 3, 4}},
		{lv.Query{Row: "never"}, nil},
		{lv.Query{State: lv.ReleaseScheduled}, []int{1, 2}},
		{lv.Query{State: lv.ReleaseApplied}, []int{0, 4, 5}},
		{lv.Query{State: lv.ReleaseFailed}, nil},
		{lv.Query{State: lv.ReleaseScheduled, Row: "a"}, []int{2}},
		{lv.Query{After: want[2].ID}, []int{3, 4, 5}},
		{lv.Query{After: want[2].ID + 1}, []int{2, 3, 4, 5}},
		{lv.Query{After: want[0].ID, Row: "a"}, []int{2, 4, 5}},
		{lv.Query{After: want[0].ID, State: lv.ReleaseApplied, Row: "b"}, []int{4}},
		{lv.Query{After: want[5].ID}, nil},
		{lv.Query{State: "none there is"}, nil},
		{lv.Query{State: "\x00"}, nil},
		{lv.Query{State: "\xff", Row: "a"}, nil},
	} {
		require.Equal(t, pick(c.places...), plainAll(t.releases(c.q)), "%+v", c.q)
	}
	plan.Approver = "changed"
	want[3] = plain(t.put(plan))
	require.Equal(t, want, plainAll(t.releases(lv.Query{})), "a change does not make a release newer")
}

func releasePages(t *storeTest) {
	var want []int64
	for i := range 40 {
		t.save("a", fmt.Sprint(i))
		want = append(want, t.publish(lv.Production, "a").ID)
	}
	slices.Reverse(want)
	var got []int64
	for q := (lv.Query{}); len(got) <= len(want); q.After = got[len(got)-1] {
		page := first(t, 7, t.Releases(t.Context(), pages, q))
		for _, r := range page {
			got = append(got, r.ID)
		}
		if len(page) < 7 {
			break
		}
		t.save("b", fmt.Sprint(len(got)))
		t.publish(green, "b")
	}
	require.Equal(t, want, got, "pages join into the list as it was when it was begun")
}
