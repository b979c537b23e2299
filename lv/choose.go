package lv

import (
	"cmp"
	"slices"
)

// A choice is a strategy that is ready to be asked.
type choice struct {
	strategy Strategy
	match    matcher
	show     *entry
}

// newChoice returns nil for a strategy that is disabled or deleted, and an
// error for one whose rules this release of the library cannot use.
func newChoice(s Strategy, show *entry) (*choice, error) {
	if s.Disabled || s.Deleted {
		return nil, nil
	}
	match, err := s.compile()
	if err != nil {
		return nil, err
	}
	return &choice{s, match, show}, nil
}

// choices are the strategies of one row, in the order in which they are tried.
// A nil one has none.
type choices struct {
	list  []choice
	index *choiceIndex // nil if the list is short
}

// Above this many strategies an index pays.
const maxUnindexed = 16

func newChoices(list []choice) *choices {
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b choice) int {
		return cmp.Or(cmp.Compare(b.strategy.Priority, a.strategy.Priority), cmp.Compare(b.strategy.ID, a.strategy.ID))
	})
	c := &choices{list: list}
	if len(list) > maxUnindexed {
		c.index = newChoiceIndex(list)
	}
	return c
}

func (c *choices) has(strategy int64) bool {
	return c != nil && slices.ContainsFunc(c.list, func(one choice) bool { return one.strategy.ID == strategy })
}

func (c *choices) with(one choice) *choices {
	var list []choice
	if c != nil {
		list = c.list
	}
	return newChoices(append(slices.Clone(list), one))
}

func (c *choices) without(strategy int64) *choices {
	return newChoices(slices.DeleteFunc(slices.Clone(c.list), func(one choice) bool { return one.strategy.ID == strategy }))
}

// choose returns what the first strategy that matches shows, or nil.
func (c *choices) choose(visitor Attributes) *entry {
	if c == nil {
		return nil
	}
	if c.index != nil {
		return c.index.choose(c.list, visitor)
	}
	for i := range c.list {
		if c.list[i].match(visitor) {
			return c.list[i].show
		}
	}
	return nil
}

// A choiceIndex spares strategies that cannot match. Most name an attribute
// that must equal a text or be in a list of texts: these are found by the
// visitor's value of it. The others are asked for one need first.
type choiceIndex struct {
	guards []guard // at most maxGuards
	rest   []int32 // strategies without a guard, rising
	needs  []need  // of all strategies
}

// A guard is an attribute, and for each of its values the strategies that it
// lets through, rising.
type guard struct {
	attribute string
	pass      map[string][]int32
}

const maxGuards = 7

func newChoiceIndex(list []choice) *choiceIndex {
	type guarded struct {
		attribute string
		values    []string
	}
	all := make([]guarded, len(list))
	count := map[string]int{}
	for i, c := range list {
		all[i].attribute, all[i].values = guardOf(c.strategy.Rules)
		count[all[i].attribute]++
	}
	delete(count, "")
	attributes := make([]string, 0, len(count))
	for attribute := range count {
		attributes = append(attributes, attribute)
	}
	slices.SortFunc(attributes, func(a, b string) int { return cmp.Or(count[b]-count[a], cmp.Compare(a, b)) })
	x := &choiceIndex{needs: make([]need, len(list))}
	for _, attribute := range attributes[:min(len(attributes), maxGuards)] {
		x.guards = append(x.guards, guard{attribute, map[string][]int32{}})
	}
	for i, g := range all {
		x.needs[i] = needOf(list[i].strategy.Rules)
		at := slices.IndexFunc(x.guards, func(one guard) bool { return one.attribute == g.attribute })
		if at < 0 {
			x.rest = append(x.rest, int32(i))
			continue
		}
		slices.Sort(g.values)
		for _, value := range slices.Compact(g.values) {
			x.guards[at].pass[value] = append(x.guards[at].pass[value], int32(i))
		}
	}
	return x
}

// guardOf returns an attribute without one of whose values the rules do not
// match, or "".
func guardOf(rules []Rule) (attribute string, values []string) {
	for _, r := range rules {
		if r.Type == "and" {
			if attribute, values = guardOf(r.Rules); attribute != "" {
				return attribute, values
			}
		}
		if r.Type != "" {
			continue
		}
		switch value := r.Value.(type) {
		case string:
			if r.Relation.canonical() == RelationEquals {
				return r.attribute(), []string{value}
			}
		case []string:
			if r.Relation.canonical() == RelationIn {
				return r.attribute(), slices.Clone(value)
			}
		}
	}
	return "", nil
}

// choose asks the strategies that no guard holds back, in their order.
func (x *choiceIndex) choose(list []choice, visitor Attributes) *entry {
	var heads [maxGuards + 1][]int32 // n of them, none empty
	n := 0
	add := func(strategies []int32) {
		if len(strategies) > 0 {
			heads[n] = strategies
			n++
		}
	}
	add(x.rest)
	for i := range x.guards {
		if value, there := visitor[x.guards[i].attribute]; there {
			add(x.guards[i].pass[value])
		}
	}
	ask := asker{visitor: visitor}
	for n > 0 {
		first := 0
		for i := 1; i < n; i++ {
			if heads[i][0] < heads[first][0] {
				first = i
			}
		}
		at := heads[first][0]
		if ask.has(&x.needs[at]) && list[at].match(visitor) {
			return list[at].show
		}
		if heads[first] = heads[first][1:]; len(heads[first]) == 0 {
			n--
			heads[first] = heads[n]
		}
	}
	return nil
}

// An asker looks an attribute up once for strategies in succession that need
// it, as those of one row mostly need the same.
type asker struct {
	visitor    Attributes
	key, value string
	there      bool
}

// has reports whether the visitor has what strategies need.
func (a *asker) has(n *need) bool {
	if n.holds == nil {
		return true
	}
	if a.key != n.key {
		a.key = n.key
		a.value, a.there = a.visitor[a.key]
	}
	return a.there && n.holds(a.value)
}

// A need is a comparison without which rules do not match.
type need struct {
	key   string
	holds holds // nil: there is none
}

// needOf returns a comparison that rules, which compile, cannot do without.
func needOf(rules []Rule) need {
	for _, r := range rules {
		switch relation := r.Relation.canonical(); {
		case r.Type == "and":
			if n := needOf(r.Rules); n.holds != nil {
				return n
			}
		case r.Type != "", relation == RelationPercent, relation == RelationNotExists, relation == RelationMatches:
		default:
			if holds, err := new(compiler).relation(relation, r.Value); err == nil {
				return need{r.attribute(), holds}
			}
		}
	}
	return need{}
}
