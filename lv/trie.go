package lv

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// A trie finds entries by row id. It never changes: with and without return
// another one that shares most of it, so that readers keep what they have and
// a change costs the depth of the tree and not its size.
//
// It is a hash trie of 32 ways: five bits of the hash choose the slot of each
// level. Rows whose hashes are the same share a node without slots.
type trie struct {
	root *node
	seed maphash.Seed
	mask uint64 // the bits of a hash that count; tests use few
}

type node struct {
	leaves, nodes uint32 // the slots that hold an entry, or a node
	entries       []*entry
	children      []*node
}

const (
	trieBits   = 5
	trieLevels = 12 // of five bits each
)

func newTrie(entries []*entry) trie {
	t := trie{seed: maphash.MakeSeed(), mask: ^uint64(0)}
	return t.filled(entries)
}

func (t trie) filled(entries []*entry) trie {
	hashes := make([]hashed, len(entries))
	for i, e := range entries {
		hashes[i] = hashed{e, t.hash(e.id)}
	}
	t.root = buildNode(hashes, make([]hashed, len(hashes)), 0)
	return t
}

func (t trie) hash(id string) uint64 { return maphash.String(t.seed, id) & t.mask }

func (t trie) find(id string) *entry {
	hash := t.hash(id)
	for n := t.root; n != nil; hash >>= trieBits {
		slot := slotOf(hash)
		switch {
		case n.leaves&slot != 0:
			if e := n.entries[rank(n.leaves, slot)]; e.id == id {
				return e
			}
			return nil
		case n.nodes&slot != 0:
			n = n.children[rank(n.nodes, slot)]
		case n.leaves|n.nodes != 0:
			return nil
		default:
			if i := n.index(id); i >= 0 {
				return n.entries[i]
			}
			return nil
		}
	}
	return nil
}

// with returns the trie with e in the place of the entry of the same id.
func (t trie) with(e *entry) trie {
	t.root = t.put(t.root, e, t.hash(e.id), 0)
	return t
}

// without returns the trie without the entry of that id, if it has one.
func (t trie) without(id string) trie {
	if t.find(id) != nil {
		t.root = t.drop(t.root, id, t.hash(id), 0)
	}
	return t
}

func slotOf(hash uint64) uint32 { return 1 << (hash & (1<<trieBits - 1)) }

// rank is the place of a slot among those that are taken.
func rank(taken, slot uint32) int { return bits.OnesCount32(taken & (slot - 1)) }

// index looks for an id in a node without slots.
func (n *node) index(id string) int {
	return slices.IndexFunc(n.entries, func(e *entry) bool { return e.id == id })
}

func (t trie) put(n *node, e *entry, hash uint64, level int) *node {
	slot := slotOf(hash)
	switch {
	case level == trieLevels:
		return n.listed(e)
	case n == nil:
		return &node{leaves: slot, entries: []*entry{e}}
	case n.nodes&slot != 0:
		i := rank(n.nodes, slot)
		return n.withChildren(n.nodes, replaced(n.children, i, t.put(n.children[i], e, hash>>trieBits, level+1)))
	case n.leaves&slot == 0:
		return n.withEntries(n.leaves|slot, inserted(n.entries, rank(n.leaves, slot), e))
	}
	i := rank(n.leaves, slot)
	old := n.entries[i]
	if old.id == e.id {
		return n.withEntries(n.leaves, replaced(n.entries, i, e))
	}
	below := t.put(nil, old, t.hash(old.id)>>(trieBits*(level+1)), level+1)
	below = t.put(below, e, hash>>trieBits, level+1)
	return n.withEntries(n.leaves&^slot, removed(n.entries, i)).
		withChildren(n.nodes|slot, inserted(n.children, rank(n.nodes, slot), below))
}

// listed is put for a node without slots, which may be nil.
func (n *node) listed(e *entry) *node {
	if n == nil {
		return &node{entries: []*entry{e}}
	}
	if i := n.index(e.id); i >= 0 {
		return n.withEntries(0, replaced(n.entries, i, e))
	}
	return n.withEntries(0, inserted(n.entries, len(n.entries), e))
}

// drop returns n without an entry that is in it, or nil if nothing is left.
func (t trie) drop(n *node, id string, hash uint64, level int) *node {
	slot := slotOf(hash)
	switch {
	case n.leaves|n.nodes == 0:
		n = n.withEntries(0, removed(n.entries, n.index(id)))
	case n.leaves&slot != 0:
		n = n.withEntries(n.leaves&^slot, removed(n.entries, rank(n.leaves, slot)))
	default:
		i := rank(n.nodes, slot)
		below := t.drop(n.children[i], id, hash>>trieBits, level+1)
		if len(below.children) > 0 || len(below.entries) > 1 {
			return n.withChildren(n.nodes, replaced(n.children, i, below))
		}
		// One entry alone needs no node: it moves up.
		n = n.withChildren(n.nodes&^slot, removed(n.children, i)).
			withEntries(n.leaves|slot, inserted(n.entries, rank(n.leaves, slot), below.entries[0]))
	}
	if len(n.entries)+len(n.children) == 0 {
		return nil
	}
	return n
}

func (n *node) withEntries(leaves uint32, entries []*entry) *node {
	return &node{leaves: leaves, nodes: n.nodes, entries: entries, children: n.children}
}

func (n *node) withChildren(nodes uint32, children []*node) *node {
	return &node{leaves: n.leaves, nodes: nodes, entries: n.entries, children: children}
}

func replaced[T any](list []T, i int, v T) []T {
	list = slices.Clone(list)
	list[i] = v
	return list
}

func inserted[T any](list []T, i int, v T) []T {
	longer := make([]T, len(list)+1)
	copy(longer, list[:i])
	longer[i] = v
	copy(longer[i+1:], list[i:])
	return longer
}

func removed[T any](list []T, i int) []T {
	shorter := make([]T, len(list)-1)
	copy(shorter, list[:i])
	copy(shorter[i:], list[i+1:])
	return shorter
}

// hashed is an entry with what is left of its hash.
type hashed struct {
	*entry
	hash uint64
}

// buildNode makes a node of all entries at once, whose ids differ. It sorts
// them by slot into scratch, which has the same length.
func buildNode(entries, scratch []hashed, level int) *node {
	if len(entries) == 0 {
		return nil
	}
	n := &node{}
	if level == trieLevels {
		for _, e := range entries {
			n.entries = append(n.entries, e.entry)
		}
		return n
	}
	var ends [1 << trieBits]int
	for _, e := range entries {
		ends[e.hash&(1<<trieBits-1)]++
	}
	leaves, children := 0, 0
	for i, count := range ends {
		switch {
		case count == 1:
			leaves++
			n.leaves |= 1 << i
		case count > 1:
			children++
			n.nodes |= 1 << i
		}
		if i > 0 {
			ends[i] += ends[i-1]
		}
	}
	starts := ends
	for _, e := range slices.Backward(entries) {
		i := e.hash & (1<<trieBits - 1)
		starts[i]--
		scratch[starts[i]] = hashed{e.entry, e.hash >> trieBits}
	}
	n.entries, n.children = make([]*entry, 0, leaves), make([]*node, 0, children)
	for i, start := range starts {
		end := ends[i]
		switch {
		case end == start+1:
			n.entries = append(n.entries, scratch[start].entry)
		case end > start:
			n.children = append(n.children, buildNode(scratch[start:end], entries[start:end], level+1))
		}
	}
	return n
}
