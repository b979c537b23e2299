package lv

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// An entry is a version of a row as readers see it, without Content for a
// deletion. It never changes, but for the values that Typed keeps of it.
type entry struct {
	Row
	choices *choices // of the row, in production
	typed   atomic.Pointer[typedValue]
}

func entryOf(c Moved) *entry {
	return &entry{Row: Row{ID: c.Row, Version: c.To, Content: c.Content, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, Corrupt: c.Corrupt}}
}

// shows reports whether there is something to see, or would be if it were not
// damaged.
func (e *entry) shows() bool { return e != nil && (e.Content != nil || e.Corrupt) }

// chosenBy returns e with other strategies.
func (e *entry) chosenBy(c *choices) *entry {
	next := &entry{Row: e.Row, choices: c}
	next.typed.Store(e.typed.Load())
	return next
}

// A layer is what one environment points at: found by id, and by rising id.
// The zero layer is empty and stays so.
type layer struct {
	rows shards
	ids  order
}

// newLayer takes entries by rising id.
func newLayer(entries []*entry) layer {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return layer{newShards(entries), newOrder(ids)}
}

// changed returns the layer with some entries in the place of those of the
// same ids, and without some ids.
func (l layer) changed(with []*entry, without []string) layer {
	var fresh []string
	for _, e := range with {
		if l.rows.find(e.ID) == nil {
			fresh = append(fresh, e.ID)
		}
	}
	l.ids = l.ids.changed(fresh, without)
	l.rows = l.rows.changed(with, without)
	return l
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
	history    string    // of the store
	seq        int64     // of the last event in it
	time       time.Time // of that event
	published  int64     // of the last release to production in it
	production layer     // without deletions
	grays      map[Env]layer
	strategies map[string]*choices // by row; entries of production know theirs
}

// find returns what a visitor sees of a row; it may be nil or a deletion.
func (r *root) find(env Env, visitor Attributes, id string) *entry {
	public := r.production.rows.find(id)
	if visitor != nil {
		var c *choices
		if public != nil {
			c = public.choices
		} else {
			c = r.strategies[id]
		}
		if e := c.choose(visitor); e != nil {
			return e
		}
	}
	if env != Production {
		if e := r.own(env, id); e != nil {
			return e
		}
	}
	return public
}

// own returns what a gray points a row at, which may be nil or a deletion.
func (r *root) own(gray Env, id string) *entry {
	l := r.grays[gray]
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
		slices.SortFunc(chosen, func(a, b *entry) int { return cmp.Compare(a.ID, b.ID) })
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
			for ; more && over.ID < e.ID; over, more = next() {
				if !yield(over) {
					return
				}
			}
			if more && over.ID == e.ID {
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
	next.seq, next.time = e.Seq, e.Time
	var with []*entry
	var without []string
	for _, c := range e.Rows {
		// A deletion removes a row from production, but in a gray it hides one.
		if c.To == 0 || c.Content == nil && !c.Corrupt && e.Env == Production {
			without = append(without, c.Row)
			continue
		}
		one := entryOf(c)
		if e.Env == Production {
			one.choices = r.strategies[c.Row]
		}
		with = append(with, one)
	}
	if e.Env == Production {
		next.production, next.published = r.production.changed(with, without), e.Seq
		return &next
	}
	gray, known := r.grays[e.Env]
	if !known {
		gray = newLayer(nil)
	}
	next.grays = maps.Clone(r.grays)
	next.grays[e.Env] = gray.changed(with, without)
	return &next
}

// decided returns the root after an EventStrategy.
func (r *root) decided(e Event, log func(Strategy, error)) *root {
	next := *r
	next.seq, next.time = e.Seq, e.Time
	next.strategies = maps.Clone(r.strategies)
	s := *e.Strategy
	touched := []string{s.Row}
	for row, c := range next.strategies {
		if c.has(s.ID) { // it may have been of another row
			next.strategies[row] = c.without(s.ID)
			touched = append(touched, row)
		}
	}
	if i := slices.IndexFunc(e.Rows, func(c Moved) bool { return c.To == s.Target }); i >= 0 {
		if c, err := newChoice(s, entryOf(e.Rows[i])); err != nil {
			log(s, err)
		} else if c != nil {
			next.strategies[s.Row] = next.strategies[s.Row].with(*c)
		}
	}
	var public []*entry
	for _, row := range touched {
		if next.strategies[row] == nil {
			delete(next.strategies, row)
		}
		if e := r.production.rows.find(row); e != nil {
			public = append(public, e.chosenBy(next.strategies[row]))
		}
	}
	next.production = r.production.changed(public, nil)
	return &next
}
