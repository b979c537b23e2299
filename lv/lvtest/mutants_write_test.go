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
	{What: "takes every save for a creation", Caught: saveRow, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		r.CreatedAt = r.UpdatedAt
		return true
	})},
	{What: "drops the description", Caught: saveRow, Wrap: wrote(func(_ lv.Edit, v *lv.Version) { v.By.Reason = "" })},
	{What: "publishes what is saved", Caught: saveRow, Wrap: afterWrite(publishes(lv.OpSave))},
	{What: "numbers the versions of each table", Caught: "ids of versions rise in the whole store", Wrap: numbersTables},
	{What: "makes a version of every save", Caught: saveSame, Wrap: resaves(func(old, content json.RawMessage) bool { return true })},
	{What: "compares contents byte by byte", Caught: saveSame, Wrap: resaves(func(old, content json.RawMessage) bool { return !bytes.Equal(old, content) })},
	{What: "compares numbers as floats", Caught: saveSame, Wrap: editing(func(s lv.VersionStore, t lv.TableID, e *lv.Edit) {
		if old := newest(s, t, e.Row); reflect.DeepEqual(decoded(old.Content), decoded(e.Content)) {
			e.Content = old.Content
		}
	}), Unnoted: true},
	{What: "trims ids", Caught: saveTexts, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Row = strings.TrimSpace(e.Row) }), Unnoted: true},
	{What: "has ids in small letters", Caught: saveTexts, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Row = strings.ToLower(e.Row) }), Unnoted: true},
	{What: "cuts ids", Caught: saveTexts, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Row = e.Row[:min(len(e.Row), 255)] }), Unnoted: true},
	{What: "compares environments in small letters", Caught: saveTexts, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		r.Env = lv.Env(strings.ToLower(string(r.Env)))
	}), Unnoted: true},
	{What: "reads numbers as floats", Caught: saveContents, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		if v := decoded(e.Content); v != nil {
			e.Content, _ = json.Marshal(v)
		}
	})},
	{What: "tidies contents", Caught: saveContents, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		var b bytes.Buffer
		if json.Compact(&b, e.Content) == nil {
			e.Content = b.Bytes()
		}
	})},
	{What: "cuts contents", Caught: saveContents, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		r.Content = r.Content[:min(len(r.Content), 1<<16)]
		return true
	}), Unnoted: true},
	{What: "takes null for a deletion", Caught: saveContents, Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		return string(r.Content) != "null"
	}), Unnoted: true},
	{What: "writes edit by edit", Caught: saveAll, Wrap: badWrite(editByEdit), Unnoted: true},
	{What: "leaves an event for every edit", Caught: saveOrder, Wrap: badWrite(editByEdit), Unnoted: true},
	{What: "deletes last", Caught: saveOrder, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			edits = slices.Clone(edits)
			slices.SortStableFunc(edits, func(a, b lv.Edit) int { return deletesLast(a) - deletesLast(b) })
			return s.Write(ctx, t, edits, by)
		}
	}), Unnoted: true},
	{What: "takes any content", Caught: saveInvalid, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		if e.Op == lv.OpSave && !json.Valid(e.Content) {
			e.Content = json.RawMessage(`{}`)
		}
	}), Unnoted: true},
	{What: "takes a name twice", Caught: saveInvalid, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) {
		if _, err := lv.Canonical(e.Content); err != nil && json.Valid(e.Content) {
			e.Content, _ = json.Marshal(decoded(e.Content))
		}
	}), Unnoted: true},
	{What: "takes no operation for a save", Caught: saveInvalid, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Op = cmp.Or(e.Op, lv.OpSave) }), Unnoted: true},
	{What: "takes no edits", Caught: saveInvalid, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if len(edits) == 0 {
				return nil, nil
			}
			return s.Write(ctx, t, edits, by)
		}
	}), Unnoted: true},
	{What: "expects no version of a row", Caught: saveCareful, Wrap: editing(func(_ lv.VersionStore, _ lv.TableID, e *lv.Edit) { e.Expect = nil })},
	{What: "takes a deletion for a row that is there", Caught: saveCareful, Wrap: editing(func(s lv.VersionStore, t lv.TableID, e *lv.Edit) {
		if row := newest(s, t, e.Row); e.Expect != nil && *e.Expect == 0 && row.Op == lv.OpDelete {
			e.Expect = new(lv.VersionID)
			*e.Expect = -1
		}
	})},
	{What: "expects what earlier edits of the call left", Caught: saveCareful, Unnoted: true, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
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
	{What: "does not say which rows have moved", Caught: saveCareful, Unnoted: true, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			var conflict *lv.ConflictError
			if errors.As(err, &conflict) {
				conflict.Changes = conflict.Changes[:1]
			}
			return answer, err
		}
	})},
	{What: "publishes what it rolls back", Caught: rollWorking, Wrap: afterWrite(publishes(lv.OpRestore))},
	{What: "does not say where a rollback comes from", Caught: rollWorking, Wrap: wrote(func(_ lv.Edit, v *lv.Version) { v.Source = 0 })},
	{What: "takes a rollback for a save", Caught: rollWorking, Wrap: wrote(func(_ lv.Edit, v *lv.Version) {
		if v.Op == lv.OpRestore {
			v.Op = lv.OpSave
		}
	})},
	{What: "leaves a deleted row deleted", Caught: "a rollback undeletes", Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			if len(answer) == 1 && edits[0].Op == lv.OpRestore && wasDeleted(s, t, answer[0]) {
				_, _ = s.Write(ctx, t, []lv.Edit{{Op: lv.OpDelete, Row: answer[0].Row}}, someone)
			}
			return answer, err
		}
	})},
	{What: "rolls back to nothing in silence", Caught: rollUnknown, Wrap: badWrite(forgivingWrite(lv.ErrNotFound))},
	{What: "rolls back to a deletion", Caught: rollUnknown, Wrap: badWrite(forgivingWrite(lv.ErrInvalid))},
	{What: "rolls back to any table's version", Caught: rollUnknown, Wrap: badWrite(acrossTables), Unnoted: true},
	{What: "deletes again", Caught: deleteStays, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if v := newest(s, t, edits[0].Row); len(edits) == 1 && edits[0].Op == lv.OpDelete && v.Op == lv.OpDelete {
				_, _ = s.Write(ctx, t, []lv.Edit{{Op: lv.OpSave, Row: v.Row, Content: json.RawMessage(`0`)}}, someone)
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{What: "publishes deletions", Caught: deleteStays, Wrap: afterWrite(publishes(lv.OpDelete))},
	{What: "deletes what never was", Caught: deleteStays, Wrap: badWrite(forgivingWrite(lv.ErrNotFound))},
	{What: "lists deletions of what was never published", Caught: deleteStays, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
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
	{What: "forgets requests to write", Caught: repeatWrite, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			by.RequestID = ""
			return s.Write(ctx, t, edits, by)
		}
	})},
	{What: "remembers requests of all tables", Caught: repeatWrite, Wrap: badWrite(remembers(func(_ lv.TableID, by lv.By) string { return by.RequestID })), Unnoted: true},
	{What: "remembers requests without an id", Caught: repeatWrite, Wrap: badWrite(remembers(func(t lv.TableID, by lv.By) string { return t.App + t.Schema + by.RequestID + "." })), Unnoted: true},
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
