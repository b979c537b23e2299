package lvtest_test

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	deletionGrays      = "a deletion is listed while a gray shows the row"
	deletionStrategies = "a deletion is listed while a strategy shows the row"
)

var deletionMutants = []mutant{
	{What: "lists the deletions that production does not have", Caught: deletionGrays, Wrap: deletions(func(s lv.VersionStore, t lv.TableID, row string) bool {
		return shows(s, t, lv.View{}, row)
	})},
	{What: "lists every deletion", Caught: deletionGrays, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			if !v.Deleted || v.Rows != nil {
				return s.Rows(ctx, t, v)
			}
			var all []lv.Row
			for _, d := range items(s.Versions(ctx, t, lv.Query{})) {
				if d.Op == lv.OpDelete && newest(s, t, d.Row).ID == d.ID && d.Row > v.After {
					all = append(all, lv.Row{ID: d.Row, Version: d.ID, Status: lv.StatusChanged, UpdatedAt: d.Time})
				}
			}
			slices.SortFunc(all, func(a, b lv.Row) int { return strings.Compare(a.ID, b.ID) })
			return itemsOf(all)
		}
	})},
	{What: "takes a deletion in production for one everywhere", Caught: deletionGrays, Wrap: deletions(func(s lv.VersionStore, t lv.TableID, row string) bool {
		return !slices.Contains(newest(s, t, row).Live, lv.Production)
	})},
	{What: "lists no deletion that only a strategy shows", Caught: deletionStrategies, Wrap: deletions(func(s lv.VersionStore, t lv.TableID, row string) bool {
		return shows(s, t, lv.View{}, row) || slices.ContainsFunc(envs(s, t), func(env lv.Env) bool { return shows(s, t, lv.View{Env: env}, row) })
	})},
	{What: "takes a disabled strategy for none", Caught: deletionStrategies, Wrap: deletions(func(s lv.VersionStore, t lv.TableID, row string) bool {
		for _, info := range items(s.Tables(context.Background(), t)) {
			return !slices.ContainsFunc(info.Strategies, func(st lv.Strategy) bool { return st.Row == row && st.Disabled })
		}
		return true
	}), Unnoted: true},
}

// deletions leaves out deletions that are listed.
func deletions(keep func(s lv.VersionStore, t lv.TableID, row string) bool) breaking {
	return eachRow(func(s lv.VersionStore, t lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Deleted || keep(s, t, r.ID)
	})
}

// shows reports whether a view has a row.
func shows(s lv.VersionStore, t lv.TableID, v lv.View, row string) bool {
	v.Rows = []string{row}
	return len(items(s.Rows(context.Background(), t, v))) > 0
}
