package lv

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Shards find entries by row id. They never change: changed returns others
// that share most of it, so that readers keep what they have, and a publish
// costs a shard, its page and the list of pages, not the table.
//
// A shard is a hash table with open addressing. The upper half of a hash
// chooses the shard, the lower half the slot.
type shards struct {
	pages [][]shard // all of pageShards, but one alone
	last  int       // one less than there are shards, which are a power of two
	count int       // of entries
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
	shardFill  = 48 // entries of a shard, about, when shards are made
	shardFull  = 96 // above this, on average, there are too few shards
	pageShards = 16 // shards that are copied together
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
	s.last = 1<<bits.Len(uint(len(slots)/shardFill)) - 1
	sizes := make([]int, s.last+1)
	for _, one := range slots {
		sizes[s.index(one.hash)]++
	}
	list := make([]shard, len(sizes))
	for i, size := range sizes {
		list[i] = newShard(size)
	}
	s.pages = slices.Collect(slices.Chunk(list, pageShards))
	for _, one := range slots {
		s.of(one.hash).add(one)
	}
	return s
}

func (s *shards) hash(id string) uint64 { return maphash.String(s.seed, id) & s.mask }

func (s *shards) index(hash uint64) int { return int(hash>>32) & s.last }

// of returns the shard in which a hash is.
func (s *shards) of(hash uint64) *shard {
	i := s.index(hash)
	return &s.pages[i/pageShards][i%pageShards]
}

// find returns nil if there is no such row.
func (s *shards) find(id string) *entry {
	if len(s.pages) == 0 {
		return nil
	}
	hash := s.hash(id)
	return s.of(hash).find(hash, id)
}

// changed returns shards with some entries in the place of those of the same
// ids, and without some ids.
func (s shards) changed(with []*entry, without []string) shards {
	s.pages = slices.Clone(s.pages)
	pages, ours := map[int]bool{}, map[int]bool{} // what is copied already
	own := func(hash uint64) *shard {
		i := s.index(hash)
		if page := i / pageShards; !pages[page] {
			s.pages[page], pages[page] = slices.Clone(s.pages[page]), true
		}
		at := s.of(hash)
		if !ours[i] {
			at.slots, ours[i] = slices.Clone(at.slots), true
		}
		return at
	}
	for _, id := range without {
		if hash := s.hash(id); s.of(hash).find(hash, id) != nil {
			at := own(hash)
			*at = at.without(id)
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
	if s.count > shardFull*(s.last+1) {
		return s.filled(s.slots())
	}
	return s
}

func (s shards) slots() []slot {
	all := make([]slot, 0, s.count)
	for _, page := range s.pages {
		for _, one := range page {
			all = append(all, one.all()...)
		}
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
