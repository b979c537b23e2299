package traffic

import (
	"crypto/rand"
	"maps"
	"math"
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

// visitor returns what tells the visitor from others, and again if it is new.
func (t *table) visitor(r *http.Request) (key, first string) {
	sticky := t.Split.Sticky
	if sticky.Header != "" {
		return header(r, sticky.Header), ""
	}
	key, _ = cookie(r.Header["Cookie"], sticky.Cookie)
	if !sticky.Issue || issued(key) {
		return key, ""
	}
	key = rand.Text()
	return key, key
}

// issued reports whether a name may be one of rand.Text.
func issued(key string) bool {
	if len(key) != 26 {
		return false
	}
	for i := range len(key) {
		if c := key[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// of returns the revision of a visitor: that which has the smallest waiting time
// of those drawn for the visitor with the shares as rates. A share that grows
// makes times smaller for one revision, so that visitors only move to it, and
// nothing need be remembered.
func (t *table) of(key string) (to *revision) {
	h := fnv(key)
	least := math.Inf(1)
	for _, v := range t.revisions {
		if v.Percent == 0 {
			continue
		}
		uniform := float64(mix(h^v.hash)>>11|1) / (1 << 53)
		if wait := -math.Log(uniform) / float64(v.Percent); wait < least {
			least, to = wait, v
		}
	}
	return to
}

func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads the bits, as the end of splitmix64 does.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
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
