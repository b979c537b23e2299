package lv

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Shards find entries by row id. They never change: changed returns others
// that share most of it, so that readers keep what they have, and a publish
// costs a shard and the list of shards, not the table.
//
// A shard is a hash table with open addressing. The upper half of a hash
// chooses the shard, the lower half the slot.
type shards struct {
	list  []shard // a power of two, or none
	count int
	seed  maphash.Seed
	mask  uint64 // the bits of a hash that count; tests use few
}

type shard struct {
	slots []slot // a power of two, at most three quarters of it taken
	taken int
}

type slot struct {
	hash  uint64
	entry *entry // nil: free
}

const (
	shardFill = 96  // entries of a shard, about, when shards are made
	shardFull = 192 // above this, on average, there are too few shards
)

// newShards returns shards of entries whose ids differ.
func newShards(entries []*entry) shards {
	s := shards{seed: maphash.MakeSeed(), mask: ^uint64(0)}
	slots := make([]slot, len(entries))
	for i, e := range entries {
		slots[i] = slot{s.hash(e.ID), e}
	}
	return s.filled(slots)
}

func (s shards) filled(slots []slot) shards {
	s.count = len(slots)
	s.list = make([]shard, 1<<bits.Len(uint(len(slots)/shardFill)))
	sizes := make([]int, len(s.list))
	for _, one := range slots {
		sizes[s.index(one.hash)]++
	}
	for i, size := range sizes {
		s.list[i] = newShard(size)
	}
	for _, one := range slots {
		s.list[s.index(one.hash)].add(one)
	}
	return s
}

func (s *shards) hash(id string) uint64 { return maphash.String(s.seed, id) & s.mask }

func (s *shards) index(hash uint64) int { return int(hash>>32) & (len(s.list) - 1) }

// find returns nil if there is no such row.
func (s *shards) find(id string) *entry {
	if len(s.list) == 0 {
		return nil
	}
	hash := s.hash(id)
	return s.list[s.index(hash)].find(hash, id)
}

// changed returns shards with some entries in the place of those of the same
// ids, and without some ids.
func (s shards) changed(with []*entry, without []string) shards {
	s.list = slices.Clone(s.list)
	ours := make([]bool, len(s.list)) // shards that are copied already
	own := func(hash uint64) *shard {
		i := s.index(hash)
		if !ours[i] {
			s.list[i].slots, ours[i] = slices.Clone(s.list[i].slots), true
		}
		return &s.list[i]
	}
	for _, id := range without {
		hash := s.hash(id)
		if at := s.list[s.index(hash)]; at.find(hash, id) != nil {
			s.list[s.index(hash)], ours[s.index(hash)] = at.without(id), true
			s.count--
		}
	}
	for _, e := range with {
		hash := s.hash(e.ID)
		at := own(hash)
		taken := at.taken
		at.put(slot{hash, e})
		s.count += at.taken - taken
	}
	if s.count > shardFull*len(s.list) {
		return s.filled(s.slots())
	}
	return s
}

func (s shards) slots() []slot {
	all := make([]slot, 0, s.count)
	for _, one := range s.list {
		all = append(all, one.all()...)
	}
	return all
}

// newShard returns a shard with room for size entries.
func newShard(size int) shard {
	return shard{slots: make([]slot, 1<<bits.Len(uint(size+size/2)))}
}

func (s *shard) find(hash uint64, id string) *entry {
	last := len(s.slots) - 1
	for i := int(hash) & last; ; i = (i + 1) & last {
		switch at := &s.slots[i]; {
		case at.entry == nil:
			return nil
		case at.hash == hash && at.entry.ID == id:
			return at.entry
		}
	}
}

// put puts one in the place of the entry with its id, or adds it.
func (s *shard) put(one slot) {
	last := len(s.slots) - 1
	for i := int(one.hash) & last; s.slots[i].entry != nil; i = (i + 1) & last {
		if s.slots[i].hash == one.hash && s.slots[i].entry.ID == one.entry.ID {
			s.slots[i] = one
			return
		}
	}
	if 4*(s.taken+1) > 3*len(s.slots) {
		*s = s.filled(2*(s.taken+1), s.all())
	}
	s.add(one)
}

// add puts one where there is room for it.
func (s *shard) add(one slot) {
	last := len(s.slots) - 1
	i := int(one.hash) & last
	for s.slots[i].entry != nil {
		i = (i + 1) & last
	}
	s.slots[i] = one
	s.taken++
}

func (s *shard) filled(size int, slots []slot) shard {
	next := newShard(size)
	for _, one := range slots {
		next.add(one)
	}
	return next
}

func (s *shard) without(id string) shard {
	left := slices.DeleteFunc(s.all(), func(one slot) bool { return one.entry.ID == id })
	return s.filled(len(left), left)
}

func (s *shard) all() []slot {
	all := make([]slot, 0, s.taken)
	for _, one := range s.slots {
		if one.entry != nil {
			all = append(all, one)
		}
	}
	return all
}
