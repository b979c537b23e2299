package lvtest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// requireConsistent checks that what a store says of its tables agrees with
// itself.
func requireConsistent(t testing.TB, s lv.VersionStore) {
	t.Helper()
	for _, info := range list(t, s.Tables(t.Context())) {
		requireTable(t, s, info.ID)
	}
}

// requireTable computes anew, from the working rows, the pointers and the
// versions of a table, what an engine keeps beside them: every status, what
// each environment shows, where each version is live, and the last event.
func requireTable(t testing.TB, s lv.VersionStore, id lv.TableID) {
	t.Helper()
	all := readAll(t, s, id)
	rows := func(v lv.View) []lv.Row { t.Helper(); return list(t, s.Rows(t.Context(), id, v)) }
	production := byID(all.Production)
	newest, live := make(map[string]lv.Version), make(map[lv.VersionID][]lv.Env)
	versions := make(map[lv.VersionID]lv.Version)
	for _, v := range slices.Backward(all.Versions) {
		newest[v.Row], versions[v.ID] = v, v
	}

	requireStatuses(t, all, production)
	requireDeletions(t, all, newest, versions)
	for _, row := range slices.Concat(all.Working, all.Deleted) {
		requireIs(t, row, newest[row.ID], "a working row is the newest version of its row")
	}
	pointers := map[lv.Env][]lv.Row{lv.Production: rows(lv.View{Own: true})}
	for env, own := range all.Grays {
		pointers[env] = own
	}
	for env, own := range pointers {
		for _, row := range own {
			requireIs(t, row, versions[row.Version], "a pointer is at a version of its row")
			live[row.Version] = append(live[row.Version], env)
		}
		effective := byID(pointers[lv.Production])
		for _, row := range own {
			effective[row.ID] = row
		}
		require.Equal(t, visible(effective), rows(lv.View{Env: env}), "an environment shows its pointers over those of production: %q", env)
	}
	for _, v := range all.Versions {
		slices.Sort(live[v.ID])
		require.Equal(t, live[v.ID], v.Live, "version %d of %q is live where something points at it", v.ID, v.Row)
	}
	asOf := rows(lv.View{Working: true, AsOf: all.Info.Seq})
	for i := range all.Working {
		all.Working[i].Status = lv.StatusAny
	}
	require.Equal(t, all.Working, asOf, "the last event is now")
	require.Equal(t, all.Production, rows(lv.View{AsOf: all.Info.Seq}), "the last event is now")
}

// requireStatuses compares all working rows with production.
func requireStatuses(t testing.TB, all everything, production map[string]lv.Row) {
	t.Helper()
	lists := map[lv.Status][]lv.Row{}
	for _, row := range all.Working {
		want := lv.StatusChanged
		if live, ok := production[row.ID]; ok && canonical(t, live) == canonical(t, row) {
			want = lv.StatusPublished
		}
		require.Equal(t, want, row.Status, "the status of %q says how it compares with production", row.ID)
		lists[want] = append(lists[want], row)
	}
	require.Equal(t, lists[lv.StatusPublished], all.Published, "the rows that are as production has them")
	require.Equal(t, lists[lv.StatusChanged], all.Edited, "the rows that are not as production has them")
}

// requireDeletions looks for whatever still shows a row that is deleted.
func requireDeletions(t testing.TB, all everything, newest map[string]lv.Version, versions map[lv.VersionID]lv.Version) {
	t.Helper()
	shown := byID(all.Production)
	for _, own := range all.Grays {
		maps.Copy(shown, byID(visible(byID(own))))
	}
	for _, s := range all.Info.Strategies {
		if target := versions[s.Target]; target.Content != nil {
			shown[target.Row] = lv.Row{ID: target.Row}
		}
	}
	var deletions []string
	for _, row := range slices.Sorted(maps.Keys(shown)) {
		if newest[row].Op == lv.OpDelete {
			deletions = append(deletions, row)
		}
	}
	require.Equal(t, deletions, rowIDs(all.Deleted), "the deletions of rows that somebody still shows")
}

func canonical(t testing.TB, r lv.Row) string {
	t.Helper()
	c, err := lv.Canonical(r.Content)
	require.NoError(t, err, "the content of %q", r.ID)
	return string(c)
}

func requireIs(t testing.TB, row lv.Row, v lv.Version, why string) {
	t.Helper()
	require.Equal(t, lv.Row{
		ID: v.Row, Version: v.ID, Content: v.Content, UpdatedAt: v.Time, Status: row.Status, CreatedAt: row.CreatedAt,
	}, row, why)
}

func byID(rows []lv.Row) map[string]lv.Row {
	m := make(map[string]lv.Row)
	for _, r := range rows {
		m[r.ID] = r
	}
	return m
}

// visible returns rows that have a content, by rising id.
func visible(m map[string]lv.Row) (rows []lv.Row) {
	for _, r := range m {
		if r.Content != nil {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b lv.Row) int { return strings.Compare(a.ID, b.ID) })
	return rows
}

// requireReplay checks that the state as of seq and the events after it are
// the state of now.
func requireReplay(t testing.TB, s lv.VersionStore, now everything, seq int64, events []lv.Event) {
	t.Helper()
	id := now.Info.ID
	then := func(v lv.View) map[string]lv.Row {
		t.Helper()
		if seq == 0 {
			return make(map[string]lv.Row)
		}
		v.AsOf = seq
		return byID(list(t, s.Rows(t.Context(), id, v)))
	}
	working := then(lv.View{Working: true})
	pointers := map[lv.Env]map[string]lv.Row{lv.Production: then(lv.View{Own: true})}
	for _, env := range now.Info.Envs {
		pointers[env] = then(lv.View{Env: env, Own: true})
	}
	strategies := make(map[int64]lv.Strategy)
	for _, e := range events {
		rows := pointers[e.Env]
		switch {
		case e.Table != id:
			continue
		case e.Strategy != nil:
			strategies[e.Strategy.ID] = *e.Strategy
			continue
		case e.Kind == lv.EventSaved:
			rows = working
		}
		for _, c := range e.Rows {
			rows[c.Row] = lv.Row{ID: c.Row, Version: c.To, Content: c.Content, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
			if c.To == 0 {
				delete(rows, c.Row)
			}
		}
	}
	shows := func(want, got map[string]lv.Row, what string) {
		t.Helper()
		for id, r := range want {
			r.Status = lv.StatusAny
			want[id] = r
		}
		require.Equal(t, want, got, "the events after %d lead to what is: %s", seq, what)
	}
	shows(byID(now.Working), byID(visible(working)), "working rows")
	shows(byID(now.Production), byID(visible(pointers[lv.Production])), "production")
	for _, env := range now.Info.Envs {
		shows(byID(now.Grays[env]), pointers[env], string(env))
	}
	stored := make(map[int64]lv.Strategy)
	for _, s := range now.Info.Strategies {
		stored[s.ID] = s
	}
	for id, s := range strategies {
		if _, there := stored[id]; there || !s.Deleted {
			require.Equal(t, stored[id], s, "the events after %d lead to what is", seq)
		}
	}
}
