package lv

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// An entry is a version of a row as readers see it. It never changes, but for
// the values that Typed keeps of it.
type entry struct {
	id               string
	version          VersionID
	content          []byte // nil for a deletion
	created, updated int64  // Unix milliseconds
	typed            atomic.Pointer[typedValue]
}

func entryOfRow(r Row) *entry {
	return &entry{
		id: r.ID, version: r.Version, content: r.Content,
		created: r.CreatedAt.UnixMilli(), updated: r.UpdatedAt.UnixMilli(),
	}
}

func entryOfChange(c Change) *entry {
	return &entry{
		id: c.ID, version: c.To, content: c.Content,
		created: c.CreatedAt.UnixMilli(), updated: c.UpdatedAt.UnixMilli(),
	}
}

// shows reports whether there is something to see.
func (e *entry) shows() bool { return e != nil && e.content != nil }

func (e *entry) row() Row {
	return Row{
		ID: e.id, Version: e.version, Content: e.content,
		CreatedAt: time.UnixMilli(e.created).UTC(), UpdatedAt: time.UnixMilli(e.updated).UTC(),
	}
}

// A layer is what one environment points at: found by id, and by rising id.
type layer struct {
	rows trie
	ids  order
}

// newLayer takes entries by rising id.
func newLayer(entries []*entry) layer {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	return layer{newTrie(entries), newOrder(ids)}
}

func (l layer) with(e *entry) layer {
	if l.rows.find(e.id) == nil {
		l.ids = l.ids.with(e.id)
	}
	l.rows = l.rows.with(e)
	return l
}

func (l layer) without(id string) layer {
	return layer{l.rows.without(id), l.ids.without(id)}
}

// after yields the entries with greater ids.
func (l layer) after(id string) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for id := range l.ids.after(id) {
			if !yield(l.rows.find(id)) {
				return
			}
		}
	}
}

// A root is all that readers see of a table after one event. It never changes.
type root struct {
	seq        int64 // of the last event in it
	production layer // without deletions
	grays      map[Env]layer
	strategies map[string]*choices // by row
}

// find returns what a visitor sees of a row; it may be nil or a deletion.
func (r *root) find(env Env, visitor Attributes, id string) *entry {
	if visitor != nil {
		if e := r.strategies[id].choose(visitor); e != nil {
			return e
		}
	}
	if env != Production {
		if e := r.grays[env].find(id); e != nil {
			return e
		}
	}
	return r.production.rows.find(id)
}

func (l layer) find(id string) *entry {
	if l.rows.root == nil { // a gray that nobody has published to has no seed either
		return nil
	}
	return l.rows.find(id)
}

// all yields what a visitor sees of the rows with greater ids.
func (r *root) all(env Env, visitor Attributes, after string) iter.Seq[*entry] {
	shown := r.production.after(after)
	if env != Production {
		shown = overlay(shown, r.grays[env].after(after))
	}
	if visitor != nil {
		var chosen []*entry
		for id, c := range r.strategies {
			if e := c.choose(visitor); e != nil && id > after {
				chosen = append(chosen, e)
			}
		}
		slices.SortFunc(chosen, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
		shown = overlay(shown, slices.Values(chosen))
	}
	return func(yield func(*entry) bool) {
		for e := range shown {
			if e.shows() && !yield(e) {
				return
			}
		}
	}
}

// overlay merges two lists by rising id; of an id that is in both, the entry
// above is taken.
func overlay(below, above iter.Seq[*entry]) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		next, stop := iter.Pull(above)
		defer stop()
		over, more := next()
		for e := range below {
			for ; more && over.id < e.id; over, more = next() {
				if !yield(over) {
					return
				}
			}
			if more && over.id == e.id {
				e = over
				over, more = next()
			}
			if !yield(e) {
				return
			}
		}
		for ; more; over, more = next() {
			if !yield(over) {
				return
			}
		}
	}
}

// released returns the root after an EventReleased.
func (r *root) released(e Event) *root {
	next := *r
	next.seq = e.Seq
	to := r.production
	if e.Env != Production {
		to = r.gray(e.Env)
	}
	for _, c := range e.Rows {
		// A deletion removes a row from production, but in a gray it hides one.
		if c.To == 0 || c.Content == nil && e.Env == Production {
			to = to.without(c.ID)
		} else {
			to = to.with(entryOfChange(c))
		}
	}
	if e.Env == Production {
		next.production = to
		return &next
	}
	next.grays = maps.Clone(r.grays)
	next.grays[e.Env] = to
	return &next
}

func (r *root) gray(env Env) layer {
	if l, ok := r.grays[env]; ok {
		return l
	}
	return newLayer(nil)
}

// decided returns the root after an EventStrategy.
func (r *root) decided(e Event, log func(Strategy, error)) *root {
	next := *r
	next.seq = e.Seq
	next.strategies = maps.Clone(r.strategies)
	if next.strategies == nil {
		next.strategies = map[string]*choices{}
	}
	s := *e.Strategy
	// A strategy may have had another row before.
	for row, c := range next.strategies {
		if c.has(s.ID) {
			next.strategies[row] = c.without(s.ID)
		}
	}
	if i := slices.IndexFunc(e.Rows, func(c Change) bool { return c.To == s.Target }); i >= 0 {
		if c, err := newChoice(s, entryOfChange(e.Rows[i])); err != nil {
			log(s, err)
		} else if c != nil {
			next.strategies[s.Row] = next.strategies[s.Row].with(*c)
		}
	}
	maps.DeleteFunc(next.strategies, func(_ string, c *choices) bool { return c == nil })
	return &next
}
