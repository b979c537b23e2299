package lv

import "slices"

// Compile gives tests what a Service keeps of a strategy's rules.
func Compile(r Rules) func(Attributes) bool {
	match, err := r.compile("")
	if err != nil {
		panic(err)
	}
	return match
}

// Choices gives tests the strategies of one row.
type Choices struct{ c *choices }

// NewChoices returns strategies that are asked one after the other, or through
// an index however few they are.
func NewChoices(indexed bool, strategies ...Strategy) Choices {
	var list []choice
	for _, s := range strategies {
		c, err := newChoice(s, &entry{version: s.Target})
		if err != nil {
			panic(err)
		}
		if c != nil {
			list = append(list, *c)
		}
	}
	c := newChoices(list)
	if c == nil {
		return Choices{}
	}
	c.index = nil
	if indexed {
		c.index = newChoiceIndex(c.list)
	}
	return Choices{c}
}

// Choose returns the version that a visitor is shown, or 0.
func (c Choices) Choose(a Attributes) VersionID {
	if e := c.c.choose(a); e != nil {
		return e.version
	}
	return 0
}

// Layer gives tests the rows of an environment.
type Layer struct{ l layer }

// NewLayer returns a layer of sorted ids, of whose hashes only some bits count.
func NewLayer(mask uint64, ids []string) Layer {
	entries := make([]*entry, len(ids))
	for i, id := range ids {
		entries[i] = &entry{id: id}
	}
	l := newLayer(entries)
	l.rows.mask = mask
	l.rows = l.rows.filled(entries)
	return Layer{l}
}

func (l Layer) With(id string, v VersionID) Layer { return Layer{l.l.with(&entry{id: id, version: v})} }
func (l Layer) Without(id string) Layer           { return Layer{l.l.without(id)} }

// Find returns the version of a row, and whether it is there.
func (l Layer) Find(id string) (VersionID, bool) {
	if e := l.l.find(id); e != nil {
		return e.version, true
	}
	return 0, false
}

// After returns the ids that are greater, by rising id.
func (l Layer) After(id string) []string {
	var ids []string
	for e := range l.l.after(id) {
		ids = append(ids, e.id)
	}
	return slices.Clip(ids)
}
