package lvtest

import (
	"fmt"
	"math"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func versionFound(t *storeTest) {
	for i := range 20 {
		t.write(saving("a", fmt.Sprint(i)), saving("b", fmt.Sprint(i)))
	}
	t.publish(green, "a")
	t.remove("b")
	all := t.history(lv.Query{})
	elsewhere := t.writeElsewhere("elsewhere")
	gone := t.version(t.save("c", "1"))
	t.save("c", "2")
	t.forget(gone)
	for _, v := range all {
		id := int64(v.ID)
		require.Equal(t, []lv.Version{v}, t.history(lv.Query{ID: id}), "a version is found by its id")
		require.Equal(t, []lv.Version{v}, t.history(lv.Query{ID: id, Row: v.Row, After: id + 1}), "and by what else it has")
		require.Empty(t, t.history(lv.Query{ID: id, Row: "c"}), "a version of another row")
		require.Empty(t, t.history(lv.Query{ID: id, After: id}), "a version that comes before")
	}
	for _, id := range []int64{int64(elsewhere.ID), int64(gone.ID), -1, 1 << 40, math.MinInt64, math.MaxInt64} {
		require.Empty(t, t.history(lv.Query{ID: id}), "no version of the table has the id %d", id)
	}
	require.Empty(t, list(t, t.Versions(t.Context(), lv.TableID{App: "no", Schema: "table"}, lv.Query{ID: int64(all[0].ID)})))
}

func releaseFound(t *storeTest) {
	v := t.save("a", "1")
	for i := range 20 {
		t.publish(green, t.save("b", fmt.Sprint(i)).Row)
	}
	t.put(draft(expecting(to(v), 0)))
	t.publish(lv.Production, "a")
	all := t.releases(lv.Query{})
	require.Len(t, all, 22)
	t.writeElsewhere("elsewhere")
	elsewhere, err := t.PutRelease(t.Context(), banners, applied(green, working("a")...), ann)
	require.NoError(t, err)
	for _, r := range all {
		require.Equal(t, []lv.Release{r}, t.releases(lv.Query{ID: r.ID}), "a release is found by its id")
		require.Equal(t, []lv.Release{r}, t.releases(lv.Query{ID: r.ID, Row: r.Changes[0].Row, State: r.State, After: r.ID + 1}), "and by what else it has")
		require.Empty(t, t.releases(lv.Query{ID: r.ID, Row: "c"}), "a release of another row")
		require.Empty(t, t.releases(lv.Query{ID: r.ID, State: lv.ReleaseFailed}), "a release in another state")
		require.Empty(t, t.releases(lv.Query{ID: r.ID, After: r.ID}), "a release that comes before")
	}
	for _, id := range []int64{elsewhere.ID, -1, 1 << 40, math.MinInt64, math.MaxInt64} {
		require.Empty(t, t.releases(lv.Query{ID: id}), "no release of the table has the id %d", id)
	}
	require.Empty(t, list(t, t.Releases(t.Context(), lv.TableID{App: "no", Schema: "table"}, lv.Query{ID: all[0].ID})))
}

func answerFound(t *storeTest) {
	asking := func(id string) lv.By { return lv.By{Actor: "ann", RequestID: id} }
	put := func(r lv.Release, id string) lv.Release {
		answer, err := t.PutRelease(t.Context(), pages, r, asking(id))
		require.NoError(t, err)
		return answer
	}
	versions, err := t.Write(t.Context(), pages, []lv.Edit{saving("a", "1")}, asking("write"))
	require.NoError(t, err)
	v := versions[0]
	answers := map[string]lv.Release{"plan": put(draft(to(v)), "plan")}
	approved := answers["plan"]
	approved.State, approved.Approver = lv.ReleaseApproved, "bob"
	answers["approve"] = put(approved, "approve")
	cancelled := answers["approve"]
	cancelled.State = lv.ReleaseCancelled
	t.put(cancelled)
	answers["release"] = put(applied(green, to(v)), "release")
	answers["once more"] = put(applied(green, to(v)), "once more") // moves nothing
	nothing := put(applied(blue, lv.Change{Row: "a"}), "nothing")
	require.Zero(t, nothing)
	_, err = t.PutStrategy(t.Context(), pages, strategy(v), asking("strategy"))
	require.NoError(t, err)
	_, err = t.PutRelease(t.Context(), pages, draft(lv.Change{Row: "none"}), asking("refused"))
	require.ErrorIs(t, err, lv.ErrNotFound)

	t.unchanged(func() {
		for id, answer := range answers {
			require.Equal(t, plainAll([]lv.Release{answer}), plainAll(t.releases(lv.Query{RequestID: id})),
				"what a request was answered is found, whatever has become of it: %s", id)
		}
		for _, id := range []string{"write", "strategy", "nothing", "refused", "never", "PLAN", "plan "} {
			require.Empty(t, t.releases(lv.Query{RequestID: id}), "no release was the answer to %q", id)
		}
		require.Empty(t, list(t, t.Releases(t.Context(), banners, lv.Query{RequestID: "plan"})), "it was another table's")
	})
}

func requestKinds(t *storeTest) {
	v := t.save("a", "1")
	calls := map[string]func(by lv.By) error{
		"write": func(by lv.By) error {
			_, err := t.Write(t.Context(), pages, []lv.Edit{saving("a", "2")}, by)
			return err
		},
		"release":  func(by lv.By) error { _, err := t.PutRelease(t.Context(), pages, draft(to(v)), by); return err },
		"strategy": func(by lv.By) error { _, err := t.PutStrategy(t.Context(), pages, strategy(v), by); return err },
	}
	for first, call := range calls {
		by := lv.By{Actor: "ann", RequestID: first}
		require.NoError(t, call(by))
		for second, call := range calls {
			if second != first {
				t.refused(lv.ErrStale, second+" with the request id of a "+first, func() error { return call(by) })
			}
		}
	}
}
