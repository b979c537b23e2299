package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// heavy is a table of rows whose contents are long: each has been published,
// to green too, and changed since.
func heavy(t *testing.T, rows int) lv.VersionStore {
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true}).Versions()
	for i := range rows {
		for _, fill := range []string{"x", "y"} {
			row := fmt.Sprintf("%02d", i)
			content := json.RawMessage(`"` + strings.Repeat(fill, 1<<20) + `"`)
			_, err := s.Write(t.Context(), pages, []lv.Edit{{Op: lv.OpSave, Row: row, Content: content}}, by)
			require.NoError(t, err)
			if fill == "x" {
				publish(t, s, lv.Production, row)
				publish(t, s, green, row)
			}
		}
	}
	return s
}

// TestLongContentsAreNotAllInMemoryAtOnce reads lists whose contents are long.
func TestLongContentsAreNotAllInMemoryAtOnce(t *testing.T) {
	const rows = 24
	s := heavy(t, rows)
	var names []string
	for i := range rows {
		names = append(names, fmt.Sprintf("%02d", rows-1-i))
	}
	for name, tt := range map[string]struct {
		list func(context.Context) iter.Seq2[any, error]
		want int
	}{
		"working rows": {func(ctx context.Context) iter.Seq2[any, error] {
			return anyOf(s.Rows(ctx, pages, lv.View{Working: true}))
		}, rows},
		"changed rows": {func(ctx context.Context) iter.Seq2[any, error] {
			return anyOf(s.Rows(ctx, pages, lv.View{Working: true, Status: lv.StatusChanged}))
		}, rows},
		"production": {func(ctx context.Context) iter.Seq2[any, error] { return anyOf(s.Rows(ctx, pages, lv.View{})) }, rows},
		"a gray":     {func(ctx context.Context) iter.Seq2[any, error] { return anyOf(s.Rows(ctx, pages, lv.View{Env: green})) }, rows},
		"rows then":  {func(ctx context.Context) iter.Seq2[any, error] { return anyOf(s.Rows(ctx, pages, lv.View{AsOf: 90})) }, 23},
		"named rows": {func(ctx context.Context) iter.Seq2[any, error] {
			return anyOf(s.Rows(ctx, pages, lv.View{Working: true, Rows: names}))
		}, rows},
		"versions": {func(ctx context.Context) iter.Seq2[any, error] { return anyOf(s.Versions(ctx, pages, lv.Query{})) }, 2 * rows},
		"events": {func(ctx context.Context) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) {
				for e, err := range s.Watch(ctx, 0) {
					if !yield(e, err) || e.Seq == 4*rows {
						return
					}
				}
			}
		}, 4 * rows},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			all := allocated(func() {
				var last any
				for item, err := range tt.list(t.Context()) {
					require.NoError(t, err)
					require.NotEqual(t, last, item)
					last = item
					n++
				}
			})
			require.Equal(t, tt.want, n)
			few := allocated(func() {
				n := 0
				for _, err := range tt.list(t.Context()) {
					require.NoError(t, err)
					if n++; n == 2 {
						break
					}
				}
			})
			require.Less(t, 2*few, all, "two of many took %d bytes, all %d", few, all)
		})
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestRowsOfLongContentsAreOfOneMoment(t *testing.T) {
	t.Parallel()
	s := heavy(t, 8)
	names := []string{"07", "06", "05", "04", "03", "02", "01", "00"}
	for name, view := range map[string]lv.View{
		"working rows": {Working: true}, "changed rows": {Working: true, Status: lv.StatusChanged}, "production": {}, "a gray": {Env: green},
		"named rows": {Working: true, Rows: names}, "named rows of a gray": {Env: green, Rows: names},
		"named rows by status": {Working: true, Rows: names, Status: lv.StatusChanged},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for row, err := range s.Rows(t.Context(), pages, view) {
				require.NoError(t, err)
				want = append(want, short(row))
			}
			require.Len(t, want, 8)
			for row, err := range s.Rows(t.Context(), pages, view) {
				require.NoError(t, err)
				if got = append(got, short(row)); len(got) == 1 {
					save(t, s, "04", name)
					save(t, s, "00", name)
					publish(t, s, lv.Production, "04", "00")
					publish(t, s, green, "04", "00")
					for _, row := range []string{"04", "00"} { // and so that it is as before for the next
						content := json.RawMessage(`"` + strings.Repeat("y", 1<<20) + `"`)
						_, err := s.Write(t.Context(), pages, []lv.Edit{{Op: lv.OpSave, Row: row, Content: content}}, by)
						require.NoError(t, err)
					}
				}
			}
			require.Equal(t, want, got)
		})
	}
}
