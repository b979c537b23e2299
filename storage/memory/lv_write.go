package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// writing is one write under way: undo takes back what it has done.
type writing struct {
	s    *versions
	t    *table
	by   lv.By
	seq  int64 // of the event it will leave
	now  time.Time
	undo []func()

	saved     []lv.Moved        // working rows that have moved
	found     map[*row]*version // where they were
	conflicts []lv.Change
}

// write runs f on a table, which is made if it is not there, and takes back
// what f did if it fails. What f returns is the answer to by.RequestID.
func write[T any](ctx context.Context, s *versions, id lv.TableID, by lv.By, f func(*writing) (T, error)) (answer T, err error) {
	if err := lv.CheckWrite(id, by); err != nil {
		return answer, err
	}
	if err := s.db.lock(ctx); err != nil {
		return answer, err
	}
	defer s.db.mu.Unlock()
	t := s.table(id)
	if earlier, ok := t.requests[by.RequestID]; ok && by.RequestID != "" {
		answer, ok := earlier.(T)
		if !ok {
			err = fmt.Errorf("%w: request %q was something else", lv.ErrStale, by.RequestID)
		}
		return answer, err
	}
	w := &writing{s: s, t: t, by: by, seq: s.log.Last() + 1, now: stamp(time.Now())}
	last := s.last
	if answer, err = f(w); err != nil {
		s.last = last
		for _, undo := range slices.Backward(w.undo) {
			undo()
		}
		return answer, err
	}
	if by.RequestID != "" {
		t.requests[by.RequestID] = answer
	}
	if t.seq > 0 {
		s.tables[id] = t
	}
	return answer, nil
}

// event appends the one event of a write that cannot fail any more.
func (w *writing) event(e lv.Event) {
	w.t.seq, w.t.time = w.seq, w.now
	e.Seq, e.Time, e.Table, e.Actor = w.seq, w.now, w.t.id, w.by.Actor
	w.s.log.Append(w.now, e)
}

// moved is what an event says of a row that moved.
func (w *writing) moved(r *row, from, to *version) lv.Moved {
	m := lv.Moved{Row: r.name, From: from.id(), To: to.id()}
	if to != nil {
		m.Content, m.CreatedAt, m.UpdatedAt = to.Content, r.created, to.Time
	}
	return m
}

// Write implements lv.VersionStore.
func (s *versions) Write(ctx context.Context, id lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	if err := lv.CheckEdits(edits); err != nil {
		return nil, err
	}
	answer, err := write(ctx, s, id, by, func(w *writing) ([]lv.Version, error) {
		var answer []lv.Version
		w.found = make(map[*row]*version)
		for i, e := range edits {
			v, err := w.edit(e)
			if err != nil && len(edits) > 1 {
				err = fmt.Errorf("edit %d: %w", i, err)
			}
			if err != nil {
				return nil, err
			}
			answer = append(answer, v)
		}
		if w.conflicts != nil {
			return nil, &lv.ConflictError{Changes: w.conflicts}
		}
		if len(w.saved) > 0 {
			w.event(lv.Event{Kind: lv.EventSaved, Rows: w.saved})
		}
		return answer, nil
	})
	if err != nil {
		return nil, err
	}
	answer = slices.Clone(answer)
	for i, v := range answer {
		answer[i].Content, answer[i].Live = slices.Clone(v.Content), slices.Clone(v.Live)
	}
	return answer, nil
}

func (w *writing) edit(e lv.Edit) (lv.Version, error) {
	var v *version
	var err error
	switch e.Op {
	case lv.OpSave:
		v, err = w.save(e)
	case lv.OpDelete:
		v, err = w.delete(e)
	case lv.OpRestore:
		v, err = w.restore(e)
	case lv.OpForget:
		return w.forget(e)
	}
	if err != nil {
		return lv.Version{}, err
	}
	return w.t.out(v), nil
}

// expect notes if the row was not where an edit expects it.
func (w *writing) expect(e lv.Edit, r *row) {
	if e.Expect == nil {
		return
	}
	was, moved := w.found[r]
	if !moved && len(r.versions) > 0 {
		was = r.working()
	}
	if *e.Expect != was.id() && (*e.Expect != 0 || was.shows()) {
		expect := *e.Expect
		w.conflicts = append(w.conflicts, lv.Change{Row: r.name, From: was.id(), Expect: &expect})
	}
}

func (w *writing) save(e lv.Edit) (*version, error) {
	digest, err := lv.Digest(e.Content)
	if err != nil {
		return nil, err
	}
	r := w.t.rows[e.Row]
	if r == nil {
		r = &row{name: e.Row, created: w.now, moves: make(map[lv.Env][]move)}
		w.t.rows[r.name] = r
		w.undo = append(w.undo, func() { delete(w.t.rows, r.name) })
	}
	w.expect(e, r)
	if len(r.versions) > 0 && r.working().shows() && r.working().digest == digest {
		return r.working(), nil
	}
	return w.append(r, &version{
		Version: lv.Version{Op: lv.OpSave, Content: slices.Clone(e.Content)}, digest: digest,
	}), nil
}

func (w *writing) delete(e lv.Edit) (*version, error) {
	r := w.t.rows[e.Row]
	if r == nil {
		return nil, fmt.Errorf("%w: row %q", lv.ErrNotFound, e.Row)
	}
	w.expect(e, r)
	if !r.working().shows() {
		return r.working(), nil
	}
	return w.append(r, &version{Version: lv.Version{Op: lv.OpDelete}}), nil
}

func (w *writing) restore(e lv.Edit) (*version, error) {
	source, err := w.t.find(e.Version)
	if err != nil {
		return nil, err
	}
	if !source.shows() {
		return nil, fmt.Errorf("%w: version %d is a deletion", lv.ErrInvalid, source.ID)
	}
	r := w.t.rows[source.Row]
	w.expect(e, r)
	if r.working().shows() && r.working().digest == source.digest {
		return r.working(), nil
	}
	return w.append(r, &version{
		Version: lv.Version{Op: lv.OpRestore, Content: source.Content, Source: source.ID}, digest: source.digest,
	}), nil
}

// append makes v the working row.
func (w *writing) append(r *row, v *version) *version {
	var from *version
	if len(r.versions) > 0 {
		from = r.working()
	}
	if _, moved := w.found[r]; !moved {
		w.found[r] = from
	}
	w.s.last++
	v.ID, v.Row, v.By, v.Time, v.seq = w.s.last, r.name, w.by, w.now, w.seq
	r.versions, w.t.versions = append(r.versions, v), append(w.t.versions, v)
	w.t.judge(r)
	w.undo = append(w.undo, func() {
		r.versions, w.t.versions = r.versions[:len(r.versions)-1], w.t.versions[:len(w.t.versions)-1]
		w.t.judge(r)
		delete(w.t.byStatus[rowUnborn], r.name)
	})
	w.saved = append(w.saved, w.moved(r, from, v))
	return v
}

// forget drops a version from the history. What it was is kept in the events
// that tell of it, and that it was in its row.
func (w *writing) forget(e lv.Edit) (lv.Version, error) {
	v, err := w.t.find(e.Version)
	if err != nil {
		return lv.Version{}, err
	}
	if by := w.t.referrer(v); by != "" {
		return lv.Version{}, fmt.Errorf("%w: %s refers to version %d", lv.ErrStale, by, v.ID)
	}
	w.expect(e, w.t.rows[v.Row])
	out := w.t.out(v)
	i, _ := slices.BinarySearchFunc(w.t.versions, v.ID, byID)
	w.t.versions = slices.Delete(w.t.versions, i, i+1)
	content := v.Content
	v.forgotten, v.Content = true, nil
	w.undo = append(w.undo, func() {
		v.forgotten, v.Content = false, content
		w.t.versions = slices.Insert(w.t.versions, i, v)
	})
	return out, nil
}

// referrer says what refers to a version, if something does.
func (t *table) referrer(v *version) string {
	r := t.rows[v.Row]
	if r.working() == v {
		return "the working row"
	}
	for env, moves := range r.moves {
		if moves[len(moves)-1].to == v {
			return fmt.Sprintf("environment %q", env)
		}
		for _, m := range moves {
			if m.from == v && t.revertible(m.release) {
				return fmt.Sprintf("release %d", m.release.ID)
			}
		}
	}
	for _, s := range t.strategies {
		if s.Target == v.ID && !s.Deleted {
			return fmt.Sprintf("strategy %d", s.ID)
		}
	}
	for _, p := range t.releases {
		if !p.State.Done() && slices.ContainsFunc(p.Changes, func(c lv.Change) bool { return c.To == v.ID }) {
			return fmt.Sprintf("release %d", p.ID)
		}
	}
	return ""
}

// revertible reports whether all pointers that a release moved are where it
// moved them.
func (t *table) revertible(r *lv.Release) bool {
	return !slices.ContainsFunc(r.Changes, func(c lv.Change) bool {
		return c.From != c.To && t.rows[c.Row].pointer(r.Env).id() != c.To
	})
}
