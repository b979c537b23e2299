package lvtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

// kinds is how many kinds of steps there are; some are the same, to come more
// often.
const kinds = 48

// do makes a step.
func (h *history) do(s historytest.Step) {
	h.Helper()
	x, y := int(s[1]), int(s[2])
	row, next, env := h.row(x), h.row(x+1+y/8), modelEnvs[y%len(modelEnvs)]
	switch s[0] % kinds {
	case 0, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47:
		row := modelRows[[]int{0, 0, 0, 0, 1, 1, 2, 3, 4}[x%9]] // some rows have a longer history
		content := fmt.Sprintf([]string{`{"n":%d}`, `{ "n": %d }`}[y/4%2], y%4)
		h.edit(h.careful(lv.Edit{Op: lv.OpSave, Row: row, Content: json.RawMessage(content)}, row, x, y))
	case 1, 2:
		h.edit(h.careful(lv.Edit{Op: lv.OpDelete, Row: row}, row, x, y))
	case 3, 4:
		version := h.any(x, y)
		h.edit(h.careful(lv.Edit{Op: lv.OpRestore, Version: version}, h.find(version).Row, x, y))
	case 5, 6, 7, 8, 9, 10, 11:
		h.release(applied(env, working(slices.Compact([]string{row, next})...)...))
	case 12, 13, 14: // of the row of the version, or of another
		change := lv.Change{Row: h.find(h.any(x, y)).Row, To: h.any(x, y)}
		if x%16 == 0 || change.Row == "" {
			change.Row = row
		}
		h.release(applied(modelEnvs[x%len(modelEnvs)], change))
	case 15, 16:
		changes := []lv.Change{{Row: row}, {Row: next}}
		if row == next {
			changes = changes[:1]
		}
		h.release(applied(env, changes...))
	case 17: // the deletion that waits for its publication
		deleted := list(h, h.Rows(h.Context(), h.table, lv.View{Working: true, Deleted: true}))
		if len(deleted) > 0 {
			r := deleted[x%len(deleted)]
			h.release(applied(env, lv.Change{Row: r.ID, To: r.Version}))
		}
	case 18, 19, 20:
		if len(h.releases) > 0 {
			r := h.releases[x%len(h.releases)]
			if back := taking(r); r.State == lv.ReleaseApplied && len(back.Changes) > 0 {
				h.release(back)
			}
		}
	default:
		h.doMore(s, x, y)
	}
}

// doMore makes the steps that are about plans and strategies, and the rest.
func (h *history) doMore(s historytest.Step, x, y int) {
	h.Helper()
	switch s[0] % kinds {
	case 21, 22:
		env := modelEnvs[y%len(modelEnvs)]
		change := lv.Change{Row: h.row(x), To: h.any(x, y)}
		if v := h.find(change.To); v.ID != 0 {
			change.Row = v.Row
		}
		if y%4 > 0 {
			change = expecting(change, h.now.pointers[env][change.Row].ID+lv.VersionID(y%4/3))
		}
		h.release(lv.Release{Env: env, State: lv.ReleaseDraft, Changes: []lv.Change{change}})
	case 23, 24, 25, 34, 35: // what is planned, or now and then what is over, goes on
		releases := slices.Clone(h.releases)
		if x%8 > 0 {
			releases = slices.DeleteFunc(releases, final)
		}
		if len(releases) > 0 {
			r := releases[x%len(releases)]
			r.State = []lv.ReleaseState{
				lv.ReleaseApplied, lv.ReleaseApproved, lv.ReleaseApplied, lv.ReleaseScheduled, lv.ReleaseCancelled, lv.ReleaseFailed,
			}[y%6]
			r.Rev += int64(x / 240)
			r.Changes = slices.Clone(r.Changes)
			h.release(r)
		}
	case 26:
		s := lv.Strategy{Target: h.any(x, y), Priority: int64(x%3 + 1)}
		s.Rules = lv.Rules{{Object: "user", Field: "id", Relation: lv.RelationEquals, Value: fmt.Sprint(y)}}
		h.strategy(s)
	case 27, 32, 33:
		if len(h.strategies) > 0 {
			s := h.strategies[x%len(h.strategies)]
			s.Target, s.Priority, s.Deleted = h.any(x, y), int64(y%3+1), y%8 == 0
			s.Rev += int64(x / 240)
			h.strategy(s)
		}
	case 28, 29, 36, 37:
		h.edit(lv.Edit{Op: lv.OpForget, Version: h.any(x, y)})
	case 30:
		h.note("reopen")
		h.VersionStore = h.reopen(x)
	case 31:
		if n := len(h.calls); n > 0 {
			h.note("repeat call %d", x%n)
			h.calls[x%n]()
		}
	}
}

// careful is an edit that now and then expects what is there, nothing, or any
// version.
func (h *history) careful(e lv.Edit, row string, x, y int) lv.Edit {
	if x >= 224 {
		expect := []lv.VersionID{h.now.working[row].ID, 0, h.any(x, y)}[y%3]
		e.Expect = &expect
	}
	return e
}

// row returns a row that is or was, or now and then any.
func (h *history) row(n int) string {
	if len(h.created) == 0 || n%32 == 31 {
		return modelRows[n%len(modelRows)]
	}
	rows := slices.Sorted(maps.Keys(h.created))
	return rows[n%len(rows)]
}

// any returns the id of a version, or now and then one that is no more or
// never was.
func (h *history) any(x, y int) lv.VersionID {
	if len(h.versions) == 0 || x%32 == 31 {
		return h.last + 1000
	}
	return h.versions[(x+y*7)%len(h.versions)].ID
}

// stores are the handles on the state that histories share.
type stores struct {
	t       testing.TB
	harness Harness
	open    []lv.VersionStore
	seen    int64 // Seq of the last event
	tables  int
}

func (h Harness) stores(t testing.TB) *stores {
	return &stores{t: t, harness: h, open: []lv.VersionStore{h.Open(t)}}
}

// handle returns one of up to four handles.
func (s *stores) handle(n int) lv.VersionStore {
	if s.harness.Again != nil && len(s.open) < 4 {
		s.open = append(s.open, s.harness.Again(s.t, s.open[0]))
	}
	return s.open[n%len(s.open)]
}

// play plays a history in a table of its own. It returns why it failed, or "".
func (s *stores) play(steps []historytest.Step) string {
	s.tables++
	h := &history{
		model: newModel(), VersionStore: s.open[0], reopen: s.handle, seen: s.seen,
		table: lv.TableID{App: "history", Schema: fmt.Sprint(s.tables)},
	}
	why := historytest.Failure(s.t, func(t testing.TB) {
		h.TB = t
		events := 0
		for _, step := range steps {
			h.do(step)
			if !s.harness.RealTime {
				time.Sleep(time.Millisecond)
			}
			if len(h.past) > events { // what changes nothing shows in the next comparison
				h.compare(6)
				events = len(h.past)
			}
		}
		h.compareAll()
	})
	s.seen = h.seen
	if why == "" {
		return ""
	}
	return strings.Join(h.steps, "\n") + "\n\n" + why
}

// histories plays random histories, one after the other.
func (h Harness) histories(t testing.TB) {
	t.Helper()
	historytest.Run(t, cmp.Or(h.Histories, 10_000), h.stores(t).play, h.fresh(t))
}

// fresh plays each history on fresh state.
func (h Harness) fresh(t testing.TB) historytest.Player {
	return func(steps []historytest.Step) string {
		return historytest.Failure(t, func(t testing.TB) {
			if why := h.stores(t).play(steps); why != "" {
				t.Error(why)
			}
		})
	}
}

// FuzzHistory plays histories that are made of any bytes, three a step.
func FuzzHistory(f *testing.F, h Harness) {
	historytest.Fuzz(f, func(t *testing.T, steps []historytest.Step) (why string) {
		suitetest.Bubble(t, h.RealTime, func(t *testing.T) { why = h.stores(t).play(steps) })
		return why
	})
}
