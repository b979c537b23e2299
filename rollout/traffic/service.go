package traffic

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// remembered is how many revisions that have left the table are still counted.
const remembered = 16

// service is a service. The table in force can be read without a lock.
type service struct {
	router   *Router
	id       rollout.ServiceID
	table    atomic.Pointer[table]
	waiting  atomic.Int64 // in the queue
	starving atomic.Int64 // of these: for what has no endpoint

	mu        sync.Mutex
	endpoints map[string]*endpoint // of the table, by URL
	leaving   []*endpoint          // which are not in it any more, and not empty
	counts    map[string]*counts   // by run
	past      []string             // runs of counts that are not in the table, oldest first
	queue     list.List            // of *waiter, in the order in which they came
}

func newService(r *Router, id rollout.ServiceID) *service {
	return &service{router: r, id: id, endpoints: make(map[string]*endpoint), counts: make(map[string]*counts)}
}

// set puts a table in force.
func (s *service) set(t rollout.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.table.Load(); old != nil && t.Generation < old.Generation {
		return fmt.Errorf("%w: table of generation %d after %d", rollout.ErrStale, t.Generation, old.Generation)
	} else if old != nil && t.Generation == old.Generation && same(t, old.Table) {
		return nil
	}
	endpoints := make(map[string]*endpoint, len(s.endpoints))
	for _, urls := range t.Endpoints {
		for _, url := range urls {
			e := cmp.Or(endpoints[url], s.endpoints[url]) // revisions may have it in common
			if e == nil {
				var err error
				if e, err = s.router.newEndpoint(url); err != nil {
					return err
				}
			}
			endpoints[url] = e
		}
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(e *endpoint) bool { return e.isEmpty() })
	before := s.endpoints
	s.endpoints = endpoints
	s.table.Store(s.compile(clone(t)))
	for url, e := range before {
		if endpoints[url] == nil {
			e.depart() // after the new table is there for who finds it gone
			s.leaving = append(s.leaving, e)
		}
	}
	s.serveQueue()
	return nil
}

// same reports whether two tables say the same.
func same(a, b rollout.Table) bool {
	if a.Held != b.Held || a.Path != b.Path || len(a.Endpoints) != len(b.Endpoints) ||
		!slices.Equal(a.Split.Weights, b.Split.Weights) || !slices.Equal(a.Split.Rules, b.Split.Rules) ||
		(a.Split.Sticky == nil) != (b.Split.Sticky == nil) || a.Split.Sticky != nil && *a.Split.Sticky != *b.Split.Sticky {
		return false
	}
	for run, endpoints := range a.Endpoints {
		if !slices.Equal(endpoints, b.Endpoints[run]) {
			return false
		}
	}
	return true
}

// compile makes a table ready, and gives each of its revisions counts. The lock
// is held.
func (s *service) compile(t rollout.Table) *table {
	n := len(t.Split.Weights)
	out := &table{Table: t, revisions: make([]*revision, n)}
	revisions := make([]revision, n)
	for i, w := range t.Split.Weights {
		v := &revisions[i]
		v.Weight, v.hash, v.counts = w, hash(w.Run), s.counts[w.Run]
		if v.counts == nil {
			v.counts = new(counts)
			s.counts[w.Run] = v.counts
		}
		v.endpoints = make([]*endpoint, len(t.Endpoints[w.Run]))
		for j, url := range t.Endpoints[w.Run] {
			v.endpoints[j] = s.endpoints[url]
		}
		out.revisions[i] = v
	}
	for _, r := range t.Split.Rules {
		i := slices.IndexFunc(out.revisions, func(v *revision) bool { return v.Run == r.Run })
		out.rules = append(out.rules, rule{r.Match, r.Priority, out.revisions[i]})
	}
	slices.SortStableFunc(out.rules, func(a, b rule) int { return cmp.Compare(a.priority, b.priority) })
	if len(out.revisions) > 0 {
		out.interleave()
	}
	s.forget(out)
	return out
}

// forget drops counts of revisions that have left the table long ago.
func (s *service) forget(t *table) {
	has := func(run string) bool {
		return slices.ContainsFunc(t.revisions, func(v *revision) bool { return v.Run == run })
	}
	s.past = slices.DeleteFunc(s.past, has)
	if old := s.table.Load(); old != nil {
		for _, v := range old.revisions {
			if !has(v.Run) {
				s.past = append(s.past, v.Run)
			}
		}
	}
	for len(s.past) > remembered {
		delete(s.counts, s.past[0])
		s.past = s.past[1:]
	}
}

// drain waits for endpoints to be empty.
func (s *service) drain(ctx context.Context, urls []string) error {
	if err := s.absent(urls); err != nil {
		return err
	}
	s.mu.Lock()
	leaving := slices.Clone(s.leaving)
	s.mu.Unlock()
	leaving = slices.DeleteFunc(leaving, func(e *endpoint) bool { return !slices.Contains(urls, e.url) })
	for _, e := range leaving {
		if left := e.drain(s.router.config.Stream); left > 0 {
			defer time.AfterFunc(left, e.endTunnels).Stop()
		} else {
			e.endTunnels()
		}
	}
	for _, e := range leaving {
		select {
		case <-e.empty:
		case <-ctx.Done():
			return fmt.Errorf("draining %q: %w", e.url, ctx.Err())
		}
	}
	return s.absent(urls)
}

// absent returns ErrStale for an endpoint that is in the table.
func (s *service) absent(urls []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, url := range urls {
		if s.endpoints[url] != nil {
			return fmt.Errorf("%w: endpoint %q is in the table", rollout.ErrStale, url)
		}
	}
	return nil
}

func (s *service) stats() rollout.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := rollout.Stats{Waiting: s.queue.Len(), Revisions: make(map[string]rollout.Counts, len(s.counts))}
	for run, c := range s.counts {
		out.Revisions[run] = c.read()
	}
	for _, e := range s.endpoints {
		out.Open += int(e.open.Load())
	}
	for _, e := range s.leaving {
		out.Open += int(e.open.Load())
	}
	return out
}
