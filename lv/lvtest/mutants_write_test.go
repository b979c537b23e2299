package lvtest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	saveRow      = "a saved row is the working row"
	saveSame     = "the same content makes no new version"
	saveTexts    = "texts and ids come back byte by byte"
	saveContents = "contents come back byte by byte"
	saveAll      = "edits happen all or none"
	saveOrder    = "edits happen in their order with one event"
	saveInvalid  = "edits that say nothing are invalid"
	saveCareful  = "an edit that expects another version is a conflict"
	rollWorking  = "a rollback writes the working row alone"
	rollUnknown  = "a rollback needs a version of the table that has content"
	deleteStays  = "a deleted row stays where it is published"
	repeatWrite  = "a repeated write returns the first answer"
)

var writeMutants = []mutant{
	{what: "takes every save for a creation", caught: saveRow, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		r.CreatedAt = r.UpdatedAt
		return true
	})},
	{what: "drops the description", caught: saveRow, wrap: wrote(func(_ lv.Edit, v *lv.Version) { v.By.Reason = "" })},
	{what: "publishes what is saved", caught: saveRow, wrap: afterWrite(publishes(lv.OpSave))},
	{what: "numbers the versions of each table", caught: "ids of versions rise in the whole store", wrap: numbersTables},
	{what: "makes a version of every save", caught: saveSame, wrap: resaves(func(old, content json.RawMessage) bool { return true })},
	{what: "compares contents byte by byte", caught: saveSame, wrap: resaves(func(old, content json.RawMessage) bool { return !bytes.Equal(old, content) })},
	{what: "compares numbers as floats", caught: saveSame, wrap: editing(func(s lv.VersionStore, t lv.TableID, e *lv.Edit) {
		if old := newest(s, t, e.Row); reflect.DeepEqual(decoded(old.Content), decoded(e.Content)) {
			e.Content = old.Content
		}
	}), unnoted: true},
	{what: "trims ids", caught: saveTexts, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Row = strings.TrimSpace(e.Row) }), unnoted: true},
	{what: "has ids in small letters", caught: saveTexts, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Row = strings.ToLower(e.Row) }), unnoted: true},
	{what: "cuts ids", caught: saveTexts, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Row = e.Row[:min(len(e.Row), 255)] }), unnoted: true},
	{what: "compares environments in small letters", caught: saveTexts, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		r.Env = lv.Env(strings.ToLower(string(r.Env)))
	}), unnoted: true},
	{what: "reads numbers as floats", caught: saveContents, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		if v := decoded(e.Content); v != nil {
			e.Content, _ = json.Marshal(v)
		}
	})},
	{what: "tidies contents", caught: saveContents, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		var b bytes.Buffer
		if json.Compact(&b, e.Content) == nil {
			e.Content = b.Bytes()
		}
	})},
	{what: "cuts contents", caught: saveContents, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		r.Content = r.Content[:min(len(r.Content), 1<<16)]
		return true
	}), unnoted: true},
	{what: "takes null for a deletion", caught: saveContents, wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		return string(r.Content) != "null"
	}), unnoted: true},
	{what: "writes edit by edit", caught: saveAll, wrap: badWrite(editByEdit), unnoted: true},
	{what: "leaves an event for every edit", caught: saveOrder, wrap: badWrite(editByEdit), unnoted: true},
	{what: "deletes last", caught: saveOrder, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			edits = slices.Clone(edits)
			slices.SortStableFunc(edits, func(a, b lv.Edit) int { return deletesLast(a) - deletesLast(b) })
			return s.Write(ctx, t, edits, by)
		}
	}), unnoted: true},
	{what: "takes any content", caught: saveInvalid, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		if e.Op == lv.OpSave && !json.Valid(e.Content) {
			e.Content = json.RawMessage(`{}`)
		}
	}), unnoted: true},
	{what: "takes a name twice", caught: saveInvalid, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		if _, err := lv.Canonical(e.Content); err != nil && json.Valid(e.Content) {
			e.Content, _ = json.Marshal(decoded(e.Content))
		}
	}), unnoted: true},
	{what: "takes no operation for a save", caught: saveInvalid, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Op = cmp.Or(e.Op, lv.OpSave) }), unnoted: true},
	{what: "takes no edits", caught: saveInvalid, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if len(edits) == 0 {
				return nil, nil
			}
			return s.Write(ctx, t, edits, by)
		}
	}), unnoted: true},
	{what: "expects no version of a row", caught: saveCareful, wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Expect = nil })},
	{what: "takes a deletion for a row that is there", caught: saveCareful, wrap: editing(func(s lv.VersionStore, t lv.TableID, e *lv.Edit) {
		if row := newest(s, t, e.Row); e.Expect != nil && *e.Expect == 0 && row.Op == lv.OpDelete {
			e.Expect = new(lv.VersionID)
			*e.Expect = -1
		}
	})},
	{what: "expects what earlier edits of the call left", caught: saveCareful, unnoted: true, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			touched := map[string]bool{}
			for _, e := range edits {
				if touched[e.Row] && e.Expect != nil && *e.Expect != 0 {
					return nil, lv.ErrConflict
				}
				touched[e.Row] = true
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{what: "does not say which rows have moved", caught: saveCareful, unnoted: true, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			var conflict *lv.ConflictError
			if errors.As(err, &conflict) {
				conflict.Changes = conflict.Changes[:1]
			}
			return answer, err
		}
	})},
	{what: "publishes what it rolls back", caught: rollWorking, wrap: afterWrite(publishes(lv.OpRestore))},
	{what: "does not say where a rollback comes from", caught: rollWorking, wrap: wrote(func(_ lv.Edit, v *lv.Version) { v.Source = 0 })},
	{what: "takes a rollback for a save", caught: rollWorking, wrap: wrote(func(_ lv.Edit, v *lv.Version) {
		if v.Op == lv.OpRestore {
			v.Op = lv.OpSave
		}
	})},
	{what: "leaves a deleted row deleted", caught: "a rollback undeletes", wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			if len(answer) == 1 && edits[0].Op == lv.OpRestore && wasDeleted(s, t, answer[0]) {
				_, _ = s.Write(ctx, t, []lv.Edit{{Op: lv.OpDelete, Row: answer[0].Row}}, someone)
			}
			return answer, err
		}
	})},
	{what: "rolls back to nothing in silence", caught: rollUnknown, wrap: badWrite(forgivingWrite(lv.ErrNotFound))},
	{what: "rolls back to a deletion", caught: rollUnknown, wrap: badWrite(forgivingWrite(lv.ErrInvalid))},
	{what: "rolls back to any table's version", caught: rollUnknown, wrap: badWrite(acrossTables), unnoted: true},
	{what: "deletes again", caught: deleteStays, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if v := newest(s, t, edits[0].Row); len(edits) == 1 && edits[0].Op == lv.OpDelete && v.Op == lv.OpDelete {
				_, _ = s.Write(ctx, t, []lv.Edit{{Op: lv.OpSave, Row: v.Row, Content: json.RawMessage(`0`)}}, someone)
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{what: "publishes deletions", caught: deleteStays, wrap: afterWrite(publishes(lv.OpDelete))},
	{what: "deletes what never was", caught: deleteStays, wrap: badWrite(forgivingWrite(lv.ErrNotFound))},
	{what: "lists deletions of what was never published", caught: deleteStays, wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			if !v.Deleted {
				return s.Rows(ctx, t, v)
			}
			var rows []lv.Row
			for _, version := range items(s.Versions(ctx, t, lv.Query{})) {
				if version.Op == lv.OpDelete && newest(s, t, version.Row).ID == version.ID {
					rows = append(rows, lv.Row{ID: version.Row, Version: version.ID, Status: lv.StatusChanged})
				}
			}
			return itemsOf(rows)
		}
	})},
	{what: "forgets requests to write", caught: repeatWrite, wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			by.RequestID = ""
			return s.Write(ctx, t, edits, by)
		}
	})},
	{what: "remembers requests of all tables", caught: repeatWrite, wrap: badWrite(remembers(func(_ lv.TableID, by lv.By) string { return by.RequestID })), unnoted: true},
	{what: "remembers requests without an id", caught: repeatWrite, wrap: badWrite(remembers(func(t lv.TableID, by lv.By) string { return t.App + t.Schema + by.RequestID + "." })), unnoted: true},
}

// publishes publishes a row after every operation of a kind.
func publishes(op lv.Op) func(s lv.VersionStore, t lv.TableID, e lv.Edit, v lv.Version) {
	return func(s lv.VersionStore, t lv.TableID, e lv.Edit, v lv.Version) {
		if e.Op == op {
			r := lv.Release{State: lv.ReleaseApplied, Changes: []lv.Change{{Row: v.Row, To: v.ID}}}
			_, _ = s.PutRelease(context.Background(), t, r, someone)
		}
	}
}

// numbersTables gives the versions of each table numbers of their own.
func numbersTables(s lv.VersionStore) lv.VersionStore {
	given := make(map[lv.TableID]lv.VersionID)
	return &store{VersionStore: s, write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
		answer, err := s.Write(ctx, t, edits, by)
		for i := range answer {
			given[t]++
			answer[i].ID = given[t]
		}
		return answer, err
	}}
}

// resaves makes a new version of what it takes for another content.
func resaves(other func(old, content json.RawMessage) bool) breaking {
	return badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			e := edits[0]
			old := newest(s, t, e.Row)
			if len(edits) > 1 || e.Op != lv.OpSave || old.Content == nil || !other(old.Content, e.Content) {
				return s.Write(ctx, t, edits, by)
			}
			answer, err := s.Write(ctx, t, []lv.Edit{{Op: lv.OpDelete, Row: e.Row}, e}, by)
			return answer[min(1, len(answer)):], err
		}
	})
}

// editByEdit writes each edit for itself, up to the first that is refused.
func editByEdit(s lv.VersionStore) writeFunc {
	return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) (answer []lv.Version, err error) {
		for i := range edits {
			v, err := s.Write(ctx, t, edits[i:i+1], by)
			if err != nil {
				return nil, err
			}
			answer = append(answer, v...)
		}
		return answer, nil
	}
}

func deletesLast(e lv.Edit) int {
	if e.Op == lv.OpDelete {
		return 1
	}
	return 0
}

// wasDeleted reports whether the version before v was a deletion.
func wasDeleted(s lv.VersionStore, t lv.TableID, v lv.Version) bool {
	all := items(s.Versions(context.Background(), t, lv.Query{Row: v.Row, After: int64(v.ID)}))
	return len(all) > 0 && all[0].Op == lv.OpDelete
}

// forgivingWrite does nothing instead of returning an error.
func forgivingWrite(target error) func(lv.VersionStore) writeFunc {
	return func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			if errors.Is(err, target) {
				return make([]lv.Version, len(edits)), nil
			}
			return answer, err
		}
	}
}

// acrossTables rolls back to versions of other tables.
func acrossTables(s lv.VersionStore) writeFunc {
	return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
		edits = slices.Clone(edits)
		for i, e := range edits {
			for _, info := range items(s.Tables(ctx)) {
				for _, v := range items(s.Versions(ctx, info.ID, lv.Query{})) {
					if e.Op == lv.OpRestore && info.ID != t && v.ID == e.Version {
						edits[i] = lv.Edit{Op: lv.OpSave, Row: v.Row, Content: v.Content}
					}
				}
			}
		}
		return s.Write(ctx, t, edits, by)
	}
}

// remembers answers a request as it was answered before.
func remembers(key func(lv.TableID, lv.By) string) func(lv.VersionStore) writeFunc {
	return func(s lv.VersionStore) writeFunc {
		var mu sync.Mutex
		answers := make(map[string][]lv.Version)
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			mu.Lock()
			defer mu.Unlock()
			k := key(t, by)
			if answer, ok := answers[k]; ok && k != "" {
				return answer, nil
			}
			answer, err := s.Write(ctx, t, edits, by)
			if err == nil {
				answers[k] = answer
			}
			return answer, err
		}
	}
}
