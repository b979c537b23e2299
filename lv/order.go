package lv

import (
	"iter"
	"slices"
	"sort"
)

// An order is row ids by rising id, in runs. Like a trie it never changes.
type order struct{ runs [][]string } // none empty

// A run that grows beyond maxRun is cut in two.
const maxRun = 256

// newOrder takes over ids, which are sorted and differ.
func newOrder(ids []string) order {
	return order{slices.Collect(slices.Chunk(ids, maxRun))}
}

// place returns the run in which id is or belongs, and its place there. The
// run is -1 if there is none.
func (o order) place(id string) (run, i int, found bool) {
	run = sort.Search(len(o.runs), func(i int) bool { return o.runs[i][0] > id }) - 1
	if run < 0 {
		return min(0, len(o.runs)-1), 0, false
	}
	i, found = slices.BinarySearch(o.runs[run], id)
	return run, i, found
}

// changed returns the order with some ids and without others.
func (o order) changed(with, without []string) order {
	if len(with)+len(without) > maxRun {
		return o.rebuilt(with, without)
	}
	for _, id := range with {
		o = o.with(id)
	}
	for _, id := range without {
		o = o.without(id)
	}
	return o
}

// rebuilt is changed for so many ids that to copy a run and the list of runs
// for each costs more than to copy all once.
func (o order) rebuilt(with, without []string) order {
	gone := make(map[string]bool, len(without))
	for _, id := range without {
		gone[id] = true
	}
	ids := append(slices.Concat(o.runs...), with...)
	slices.Sort(ids)
	return newOrder(slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return gone[id] }))
}

func (o order) with(id string) order {
	run, i, found := o.place(id)
	switch {
	case found:
		return o
	case run < 0:
		return order{[][]string{{id}}}
	}
	longer := inserted(o.runs[run], i, id)
	if len(longer) <= maxRun {
		return order{replaced(o.runs, run, longer)}
	}
	half := len(longer) / 2
	return order{inserted(replaced(o.runs, run, longer[:half:half]), run+1, longer[half:])}
}

func (o order) without(id string) order {
	run, i, found := o.place(id)
	switch {
	case !found:
		return o
	case len(o.runs[run]) == 1:
		return order{removed(o.runs, run)}
	}
	return order{replaced(o.runs, run, removed(o.runs[run], i))}
}

// after yields the ids that are greater.
func (o order) after(id string) iter.Seq[string] {
	return func(yield func(string) bool) {
		run, i, found := o.place(id)
		if found {
			i++
		}
		for ; run >= 0 && run < len(o.runs); run, i = run+1, 0 {
			for _, id := range o.runs[run][i:] {
				if !yield(id) {
					return
				}
			}
		}
	}
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
