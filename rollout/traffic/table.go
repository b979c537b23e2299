package traffic

import (
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/rollout"
)

// table is a rollout.Table, made ready to choose by. It does not change.
type table struct {
	rollout.Table
	slots     [100]*revision // of requests in turn
	turn      atomic.Uint64
	revisions []*revision
	rules     []rule
}

// revision is who may get a request.
type revision struct {
	rollout.Weight
	endpoints []*endpoint
	turn      atomic.Uint64
	spare     atomic.Uint64 // turns of those that should get nothing
	counts    *counts
	hash      uint64
}

type rule struct {
	rollout.Match
	priority int
	to       *revision
}

// choice is who gets a request.
type choice struct {
	table    *table
	revision *revision
	endpoint *endpoint
	visitor  string      // who is new, and gets this name in a cookie
	tried    []*endpoint // which could not be reached
}

// interleave gives each revision as many slots as it has percent, far from one
// another.
func (t *table) interleave() {
	owed := make([]int, len(t.revisions))
	for i := range t.slots {
		next := 0
		for j, v := range t.revisions {
			owed[j] += v.Percent
			if owed[j] > owed[next] {
				next = j
			}
		}
		owed[next] -= 100
		t.slots[i] = t.revisions[next]
	}
}

// choose returns the revision for a request, or nil if there is none at all,
// and the name of a visitor who has none.
func (t *table) choose(r *http.Request) (to *revision, visitor string) {
	if len(t.revisions) == 0 {
		return nil, ""
	}
	for i := range t.rules {
		if matches(t.rules[i].Match, r) {
			return t.rules[i].to, ""
		}
	}
	if t.Split.Sticky != nil {
		key, first := t.visitor(r)
		if key != "" {
			return t.of(key), first
		}
	}
	return t.slots[(t.turn.Add(1)-1)%100], ""
}

// enter takes the next endpoint that a request may go to, but for those tried:
// the next in turn if it can, and who is left out only if all are.
func (v *revision) enter(r *Router, tried []*endpoint) *endpoint {
	n := uint64(len(v.endpoints))
	for range v.endpoints {
		e := v.endpoints[(v.turn.Add(1)-1)%n]
		if e.fit(r) && !slices.Contains(tried, e) && e.enter() {
			return e
		}
	}
	spare := v.spare.Add(1)
	for i := range 2 * n { // others may have taken turns
		e := v.endpoints[(spare+i)%n]
		if (i >= n || e.fit(r)) && !slices.Contains(tried, e) && e.enter() {
			return e
		}
	}
	return nil
}

func clone(t rollout.Table) rollout.Table {
	t.Split.Weights = slices.Clone(t.Split.Weights)
	t.Split.Rules = slices.Clone(t.Split.Rules)
	if t.Split.Sticky != nil {
		sticky := *t.Split.Sticky
		t.Split.Sticky = &sticky
	}
	t.Endpoints = maps.Clone(t.Endpoints)
	for run, endpoints := range t.Endpoints {
		t.Endpoints[run] = slices.Clone(endpoints)
	}
	return t
}
