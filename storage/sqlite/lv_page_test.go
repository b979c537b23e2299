package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// crowded is a table whose every view has several pages.
type crowded struct {
	*testing.T
	lv.VersionStore
}

// newCrowded makes a database and closes it. It has 600 rows that are published,
// half of which have changed since, 300 that are deleted but published, and 600
// that green alone shows.
func newCrowded(t *testing.T) (path string) {
	path = filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	c := crowded{T: t, VersionStore: db.Versions()}
	var saves, deletions, changes []lv.Edit
	var published, gray []string
	for i := range 300 {
		same, changed, gone := fmt.Sprintf("%03d same", i), fmt.Sprintf("%03d changed", i), fmt.Sprintf("%03d gone", i)
		green1, green2 := fmt.Sprintf("%03d green", i), fmt.Sprintf("%03d green too", i)
		for _, row := range []string{same, changed, gone, green1, green2} {
			saves = append(saves, saving(row, "1"))
		}
		published = append(published, same, changed, gone)
		gray = append(gray, green1, green2)
		changes = append(changes, saving(changed, "2"))
		deletions = append(deletions, lv.Edit{Op: lv.OpDelete, Row: gone})
	}
	c.write(saves...)
	publish(t, c, lv.Production, published...)
	require.EqualValues(t, 3, publish(t, c, green, gray...).Seq)
	c.write(append(changes, deletions...)...)
	require.NoError(t, db.Close())
	return path
}

// openCrowded opens a copy of what newCrowded made, which takes less time than
// to make it.
func openCrowded(t *testing.T, made string) crowded {
	path := filepath.Join(t.TempDir(), "state.db")
	file, err := os.ReadFile(made)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, file, 0o600))
	return crowded{T: t, VersionStore: open(t, sqlite.Config{Path: path, Relaxed: true}).Versions()}
}

func (c crowded) write(edits ...lv.Edit) {
	c.Helper()
	_, err := c.Write(c.Context(), pages, edits, by)
	require.NoError(c, err)
}

// disturb changes what every view shows, before a row, there and after it.
func (c crowded) disturb(n int) {
	c.Helper()
	title := fmt.Sprint("disturbance ", n)
	var edits []lv.Edit
	var rows []string
	for _, row := range []string{"000 same", "150 changed", "150 gone", "299 same", "299 green", title, "299" + title} {
		edits, rows = append(edits, saving(row, title)), append(rows, row)
	}
	c.write(edits...)
	publish(c, c, lv.Production, rows...)
	publish(c, c, green, rows...)
}

// TestALongListIsWholeAndOfOneMoment reads lists of several pages, while their
// rows are written to.
func TestALongListIsWholeAndOfOneMoment(t *testing.T) {
	t.Parallel()
	made := newCrowded(t)
	for _, tt := range []struct {
		name string
		view lv.View
		want int
	}{
		{"working rows", lv.View{Working: true}, 1200},
		{"published rows", lv.View{Working: true, Status: lv.StatusPublished}, 300},
		{"changed rows", lv.View{Working: true, Status: lv.StatusChanged}, 900},
		{"deletions", lv.View{Working: true, Deleted: true}, 300},
		{"production", lv.View{}, 900},
		{"a gray", lv.View{Env: green}, 1500},
		{"a gray's own", lv.View{Env: green, Own: true}, 600},
		{"rows after one", lv.View{After: "100"}, 600},
		{"working rows then", lv.View{AsOf: 3, Working: true}, 1500},
		{"production then", lv.View{AsOf: 3}, 900},
		{"a gray then", lv.View{AsOf: 3, Env: green}, 1500},
		{"a gray's own then", lv.View{AsOf: 3, Env: green, Own: true}, 600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := openCrowded(t, made)
			var want, got []string
			last := ""
			for row, err := range c.Rows(t.Context(), pages, tt.view) {
				require.NoError(t, err)
				require.Equal(t, tt.view.Deleted, row.Content == nil, row.ID)
				require.False(t, row.UpdatedAt.IsZero(), row.ID)
				require.Greater(t, row.ID, last)
				last = row.ID
				want = append(want, short(row))
			}
			require.Len(t, want, tt.want)
			for row, err := range c.Rows(t.Context(), pages, tt.view) {
				require.NoError(t, err)
				if got = append(got, short(row)); len(got)%200 == 50 {
					c.disturb(len(got))
				}
			}
			require.Equal(t, want, got)
		})
	}
}

func short(r lv.Row) string {
	return fmt.Sprint(r.ID, " ", r.Version, " ", r.Status, " ", len(r.Content), " ", r.CreatedAt, " ", r.UpdatedAt)
}

func TestLongHistoriesAndManyTablesAreWhole(t *testing.T) {
	t.Parallel()
	c := openCrowded(t, newCrowded(t))
	for i := range 200 {
		save(t, c, "a", fmt.Sprint(i))
		publish(t, c, []lv.Env{lv.Production, green, "blue"}[i%3], "a")
		if i%2 == 0 {
			plan, err := c.PutRelease(t.Context(), pages, lv.Release{State: lv.ReleaseDraft, Changes: []lv.Change{{Row: "a"}}}, by)
			require.NoError(t, err)
			if plan.State = lv.ReleaseApplied; i%20 == 0 { // some of them move the row
				_, err = c.PutRelease(t.Context(), pages, plan, by)
				require.NoError(t, err)
			}
		}
		if i%5 == 0 {
			_, err := c.Write(t.Context(), lv.TableID{App: fmt.Sprint(i), Schema: "s"}, []lv.Edit{saving("a", "1")}, by)
			require.NoError(t, err)
		}
	}
	for name, tt := range map[string]struct{ got, want int }{
		"versions of the table": {read(t, anyOf(c.Versions(t.Context(), pages, lv.Query{}))), 1500 + 600 + 200},
		"versions of the row":   {read(t, anyOf(c.Versions(t.Context(), pages, lv.Query{Row: "a"}))), 200},
		"releases of the table": {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{}))), 2 + 300},
		"applied releases":      {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{State: lv.ReleaseApplied}))), 2 + 210},
		"drafts":                {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{State: lv.ReleaseDraft}))), 90},
		"releases of the row":   {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{Row: "a"}))), 300},
		"applied ones of it":    {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{Row: "a", State: lv.ReleaseApplied}))), 210},
		"drafts of it":          {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{Row: "a", State: lv.ReleaseDraft}))), 90},
		"releases of a far row": {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{Row: "000 same"}))), 1},
		"tables":                {read(t, anyOf(c.Tables(t.Context()))), 1 + 40},
		"releases before one":   {read(t, anyOf(c.Releases(t.Context(), pages, lv.Query{After: 3}))), 1},
		"versions before one":   {read(t, anyOf(c.Versions(t.Context(), pages, lv.Query{After: 101}))), 100},
	} {
		require.Equal(t, tt.want, tt.got, name)
	}
	var last int64
	for r, err := range c.Releases(t.Context(), pages, lv.Query{Row: "a"}) {
		require.NoError(t, err)
		require.True(t, last == 0 || r.ID < last, "newest first")
		last = r.ID
	}
}
