package rollout

import (
	"cmp"
	"maps"
	"slices"
)

// apportion divides total as the parts are to each other, by the largest
// remainders; of equal ones the first. What has no part gets nothing.
func apportion(total int, parts []int) []int {
	shares, sum := make([]int, len(parts)), 0
	for _, p := range parts {
		sum += p
	}
	if sum == 0 {
		return shares
	}
	rest, order := total, make([]int, len(parts))
	for i, p := range parts {
		shares[i], order[i] = total*p/sum, i
		rest -= shares[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(total*parts[b]%sum, total*parts[a]%sum) })
	for _, i := range order[:rest] {
		shares[i]++
	}
	return shares
}

// percent is the share of a revision.
func (s Split) percent(run string) int {
	for _, w := range s.Weights {
		if w.Run == run {
			return w.Percent
		}
	}
	return 0
}

// with returns s with that share of a revision, in its place.
func (s Split) with(id RevisionID, percent int) Split {
	s = s.Clone()
	for i := range s.Weights {
		if s.Weights[i].Run == id.Run {
			s.Weights[i].Percent = percent
			return s
		}
	}
	s.Weights = append(s.Weights, Weight{Version: id.Version, Run: id.Run, Percent: percent})
	return s
}

// without returns s without the revisions that keeps does not want.
func (s Split) without(gone func(version, run string) bool) Split {
	s = s.Clone()
	s.Weights = slices.DeleteFunc(s.Weights, func(w Weight) bool { return gone(w.Version, w.Run) })
	s.Rules = slices.DeleteFunc(s.Rules, func(r Rule) bool { return r.Run != "" && gone(r.Version, r.Run) })
	return s
}

// aim is where a run leads the split: to's share from what it is in before to
// share, while from gives way.
type aim struct {
	Before, After Split
	To            RevisionID
	Share         int
}

// aimAt works out the split in the end. What was replaced gives way to the new
// one; what share leaves, or takes, is that of the other versions in proportion
// and, if they have none, of the old content. A dark revision takes nothing.
func aimAt(before Split, from, to RevisionID, share int) aim {
	a := aim{Before: before, To: to, Share: share, After: before.with(to, share)}
	var others []int
	parts := make([]int, len(a.After.Weights))
	for i, w := range a.After.Weights {
		if w.Run != to.Run && w.Run != from.Run {
			parts[i] = w.Percent
			others = append(others, w.Percent)
		}
	}
	sum := 0
	for _, p := range others {
		sum += p
	}
	switch {
	case share == 0 && from.Run != to.Run: // dark
	case sum > 0:
		for i, p := range apportion(100-share, parts) {
			if a.After.Weights[i].Run != to.Run {
				a.After.Weights[i].Percent = p
			}
		}
	case from.Run != "" && from.Run != to.Run:
		a.After = a.After.with(from, 100-share)
	}
	return a
}

// at returns the split with which to has so much, on the way to its share.
func (a aim) at(percent int) Split {
	begin := a.Before.percent(a.To.Run)
	if percent == a.Share || a.Share == begin {
		return a.After.Clone()
	}
	s := a.Before.with(a.To, percent)
	parts := make([]int, len(s.Weights))
	for i, w := range s.Weights {
		if w.Run != a.To.Run {
			was, will := a.Before.percent(w.Run), a.After.percent(w.Run)
			parts[i] = was*(a.Share-begin) + (will-was)*(percent-begin)
			if a.Share < begin {
				parts[i] = -parts[i]
			}
		}
	}
	if percent > 0 && !slices.ContainsFunc(parts, func(p int) bool { return p > 0 }) {
		return a.Before.with(a.To, 100) // nobody else has traffic
	}
	for i, p := range apportion(100-percent, parts) {
		if s.Weights[i].Run != a.To.Run {
			s.Weights[i].Percent = p
		}
	}
	return s
}

// share returns what to has at a Step.Percent.
func (a aim) share(percent int) int {
	if percent == 0 || a.Share == 0 {
		return 0
	}
	return max(1, (a.Share*percent+50)/100)
}

// revision finds one of the record.
func (s *Service) revision(run string) *Revision {
	for i := range s.Revisions {
		if s.Revisions[i].ID.Run == run {
			return &s.Revisions[i]
		}
	}
	return nil
}

// newest is the last content of a version, or of any, that nothing has
// replaced.
func (s *Service) newest(version string) *Revision {
	for i := len(s.Revisions) - 1; i >= 0; i-- {
		if r := &s.Revisions[i]; !r.Replaced && (version == "" || r.ID.Version == version) {
			return r
		}
	}
	return nil
}

// serving is the revision that a version's requests go to: with something
// ready, with the most traffic, not replaced, the newest.
func (s *Service) serving(version string, ready map[string][]string) string {
	best, rank := "", []int(nil)
	for i, r := range s.Revisions {
		if r.ID.Version != version {
			continue
		}
		now := []int{0, s.Split.percent(r.ID.Run), 0, i}
		if len(ready[r.ID.Run]) > 0 {
			now[0] = 1
		}
		if !r.Replaced {
			now[2] = 1
		}
		if rank == nil || slices.Compare(now, rank) > 0 {
			best, rank = r.ID.Run, now
		}
	}
	return best
}

// table is what a Router is to do: as the record says, but that a revision with
// nothing ready leaves its share to those that have something.
func (s *Service) table(ready map[string][]string) Table {
	t := Table{Generation: s.Generation, Held: s.Held, Path: s.Path, Split: s.Split.Clone(), Endpoints: map[string][]string{}}
	if !slices.ContainsFunc(t.Split.Weights, func(w Weight) bool { return w.Percent > 0 }) {
		t.Split.Weights, t.Split.Rules = nil, nil // nobody serves yet, or any more
		return t
	}
	parts, sum, lacking := make([]int, len(t.Split.Weights)), 0, false
	for i, w := range t.Split.Weights {
		if w.Percent > 0 && len(ready[w.Run]) == 0 {
			lacking = true
			continue
		}
		parts[i] = w.Percent
		sum += w.Percent
	}
	if lacking && sum > 0 {
		for i, p := range apportion(100, parts) {
			t.Split.Weights[i].Percent = p
		}
	}
	for i, r := range t.Split.Rules {
		if r.Run == "" {
			t.Split.Rules[i].Run = s.serving(r.Version, ready)
		}
	}
	t.Split.Rules = slices.DeleteFunc(t.Split.Rules, func(r Rule) bool { return s.revision(r.Run) == nil })
	for run := range s.reachable(t.Split) {
		if len(ready[run]) > 0 {
			t.Endpoints[run] = ready[run]
		}
	}
	return t
}

// reachable are the revisions that a split sends requests to.
func (s *Service) reachable(split Split) map[string]bool {
	runs := map[string]bool{}
	for _, w := range s.Split.Weights {
		if w.Percent > 0 {
			runs[w.Run] = true
		}
	}
	for _, r := range split.Rules {
		runs[r.Run] = true
	}
	return runs
}

// same reports whether two tables do the same.
func (t Table) same(o Table) bool {
	return t.Held == o.Held && t.Path == o.Path && slices.Equal(t.Split.Weights, o.Split.Weights) && slices.Equal(t.Split.Rules, o.Split.Rules) &&
		(t.Split.Sticky == nil) == (o.Split.Sticky == nil) && valueOf(t.Split.Sticky) == valueOf(o.Split.Sticky) &&
		maps.EqualFunc(t.Endpoints, o.Endpoints, slices.Equal)
}
