package lv

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Shards find entries by row id. They never change: changed returns others
// that share most of it, so that readers keep what they have, and a publish
// costs about the root of the table's size.
//
// A shard is a short list; shards are kept in pages, so that a change copies
// the list of pages, one page and one shard.
type shards struct {
	pages []page // a power of two
	count int
	seed  maphash.Seed
	mask  uint64 // the bits of a hash that count; tests use few
}

type page []shard // pageSize, or fewer if there is only one page: a power of two

type shard []slot

type slot struct {
	hash  uint64
	entry *entry
}

const (
	pageBits  = 8
	pageSize  = 1 << pageBits
	shardFill = 6  // entries of a shard, about, when shards are made
	shardFull = 16 // above this, on average, there are too few shards
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
	n := 1 << bits.Len(uint(len(slots)/shardFill))
	s.count, s.pages = len(slots), make([]page, max(1, n/pageSize))
	for i := range s.pages {
		s.pages[i] = make(page, min(n, pageSize))
	}
	sizes := make([]int, n)
	for _, one := range slots {
		sizes[one.hash&uint64(n-1)]++
	}
	for _, one := range slots {
		at := s.at(one.hash)
		if *at == nil {
			*at = make(shard, 0, sizes[one.hash&uint64(n-1)])
		}
		*at = append(*at, one)
	}
	return s
}

func (s *shards) hash(id string) uint64 { return maphash.String(s.seed, id) & s.mask }

// at returns the place of the shard of a hash. There are pages.
func (s *shards) at(hash uint64) *shard {
	page := s.pages[hash>>pageBits&uint64(len(s.pages)-1)]
	return &page[hash&uint64(len(page)-1)]
}

// find returns nil if there is no such row.
func (s *shards) find(id string) *entry {
	if len(s.pages) == 0 {
		return nil
	}
	hash := s.hash(id)
	shard := *s.at(hash)
	for i := range shard {
		if shard[i].hash == hash && shard[i].entry.ID == id {
			return shard[i].entry
		}
	}
	return nil
}

// changed returns shards with some entries in the place of those of the same
// ids, and without some ids.
func (s shards) changed(with []*entry, without []string) shards {
	s.pages = slices.Clone(s.pages)
	ours := make([]bool, len(s.pages)) // pages that are copied already
	own := func(hash uint64) *shard {
		i := hash >> pageBits & uint64(len(s.pages)-1)
		if !ours[i] {
			s.pages[i], ours[i] = slices.Clone(s.pages[i]), true
		}
		return s.at(hash)
	}
	for _, id := range without {
		hash := s.hash(id)
		if i := s.at(hash).index(hash, id); i >= 0 {
			at := own(hash)
			*at = removed(*at, i)
			s.count--
		}
	}
	for _, e := range with {
		hash := s.hash(e.ID)
		at := own(hash)
		if i := at.index(hash, e.ID); i >= 0 {
			*at = replaced(*at, i, slot{hash, e})
		} else {
			*at = inserted(*at, len(*at), slot{hash, e})
			s.count++
		}
	}
	if s.count > shardFull*len(s.pages)*len(s.pages[0]) {
		return s.filled(s.slots())
	}
	return s
}

func (s shard) index(hash uint64, id string) int {
	return slices.IndexFunc(s, func(one slot) bool { return one.hash == hash && one.entry.ID == id })
}

func (s shards) slots() []slot {
	all := make([]slot, 0, s.count)
	for _, page := range s.pages {
		for _, shard := range page {
			all = append(all, shard...)
		}
	}
	return all
}

func replaced[L ~[]T, T any](list L, i int, v T) L {
	list = slices.Clone(list)
	list[i] = v
	return list
}

func inserted[L ~[]T, T any](list L, i int, v T) L {
	longer := make(L, len(list)+1)
	copy(longer, list[:i])
	longer[i] = v
	copy(longer[i+1:], list[i:])
	return longer
}

func removed[L ~[]T, T any](list L, i int) L {
	shorter := make(L, len(list)-1)
	copy(shorter, list[:i])
	copy(shorter[i:], list[i+1:])
	return shorter
}
