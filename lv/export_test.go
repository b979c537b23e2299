package lv

import (
	"fmt"
	"slices"
)

// Choices gives tests the strategies of one row.
type Choices struct{ c *choices }

// NewChoices returns strategies that are asked one after the other, or through
// an index however few they are.
func NewChoices(indexed bool, strategies ...Strategy) Choices {
	c := chosenFrom(strategies)
	if c == nil {
		return Choices{}
	}
	c.index = nil
	if indexed {
		c.index = newChoiceIndex(c.list)
	}
	return Choices{c}
}

// Indexed reports whether so many strategies are asked through an index.
func Indexed(strategies ...Strategy) bool { return chosenFrom(strategies).index != nil }

func chosenFrom(strategies []Strategy) *choices {
	var list []choice
	for _, s := range strategies {
		c, err := newChoice(s, &entry{Row: Row{Version: s.Target}})
		if err != nil {
			panic(err)
		}
		if c != nil {
			list = append(list, *c)
		}
	}
	return newChoices(list)
}

// Choose returns the version that a visitor is shown, or 0.
func (c Choices) Choose(a Attributes) VersionID {
	if e := c.c.choose(a); e != nil {
		return e.Version
	}
	return 0
}

// Layer gives tests the rows of an environment.
type Layer struct{ l layer }

// NewLayer returns a layer of sorted ids, of whose hashes only some bits count.
func NewLayer(mask uint64, ids []string) Layer {
	entries := make([]*entry, len(ids))
	for i, id := range ids {
		entries[i] = &entry{Row: Row{ID: id}}
	}
	l := newLayer(entries)
	l.rows.mask = mask
	slots := l.rows.slots()
	for i := range slots {
		slots[i].hash &= mask
	}
	l.rows = l.rows.filled(slots)
	return Layer{l}
}

// With returns the layer with rows at a version.
func (l Layer) With(v VersionID, ids ...string) Layer {
	var with []*entry
	for _, id := range ids {
		with = append(with, &entry{Row: Row{ID: id, Version: v}})
	}
	return Layer{l.l.changed(with, nil)}
}

// Without returns the layer without rows.
func (l Layer) Without(ids ...string) Layer { return Layer{l.l.changed(nil, ids)} }

// Find returns the version of a row, and whether it is there.
func (l Layer) Find(id string) (VersionID, bool) {
	if e := l.l.rows.find(id); e != nil {
		return e.Version, true
	}
	return 0, false
}

// After returns the ids that are greater, by rising id.
func (l Layer) After(id string) []string {
	var ids []string
	for e := range l.l.after(id) {
		ids = append(ids, e.ID)
	}
	return slices.Clip(ids)
}

// Root gives benchmarks what readers see of a table.
type Root struct{ r *root }

// NewRoot returns a root of n rows, row-0000000 and so on.
func NewRoot(n int) Root {
	entries := make([]*entry, n)
	for i := range entries {
		entries[i] = &entry{Row: Row{ID: fmt.Sprintf("row-%07d", i), Version: VersionID(i + 1), Content: []byte("{}")}}
	}
	return Root{&root{production: newLayer(entries)}}
}

// Released returns the root after one row was published.
func (r Root) Released(c Moved) Root {
	return Root{r.r.released(Event{Seq: r.r.seq + 1, Rows: []Moved{c}})}
}

// IsValid is isValid.
func IsValid(content []byte) bool { return isValid(content) }

// Missed returns how many events are kept for who reads the table.
func (t *Table) Missed() int { return len(t.missed) }
