package rollouttest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// hosts are those of an engine, wrapped: each once.
type hosts struct {
	rollouttest.Hosts
	wrap    func(rollout.InstanceStore) rollout.InstanceStore
	name    func(string) string
	stores  map[string]rollout.InstanceStore
	damaged map[string]bool // ids
}

func (h *hosts) Instances(host string) rollout.InstanceStore {
	if h.name != nil {
		host = h.name(host)
	}
	if h.stores[host] == nil {
		h.stores[host] = h.wrap(marked{h.Hosts.Instances(host), h.damaged})
	}
	return h.stores[host]
}

// marked is a store that notices what is damaged.
type marked struct {
	rollout.InstanceStore
	damaged map[string]bool
}

func (m marked) List(ctx context.Context) iter.Seq2[rollout.Instance, error] {
	return func(yield func(rollout.Instance, error) bool) {
		for i, err := range m.InstanceStore.List(ctx) {
			if m.damaged[i.ID] {
				i, err = rollout.Instance{ID: i.ID}, fault(i.ID)
			}
			if !yield(i, err) {
				return
			}
		}
	}
}

// instances is a store some of whose methods are replaced.
type instances struct {
	rollout.InstanceStore
	put    func(ctx context.Context, i rollout.Instance) error
	remove func(ctx context.Context, id string) error
	list   func(ctx context.Context) iter.Seq2[rollout.Instance, error]
}

func (s *instances) Put(ctx context.Context, i rollout.Instance) error {
	if s.put == nil {
		return s.InstanceStore.Put(ctx, i)
	}
	return s.put(ctx, i)
}

func (s *instances) Remove(ctx context.Context, id string) error {
	if s.remove == nil {
		return s.InstanceStore.Remove(ctx, id)
	}
	return s.remove(ctx, id)
}

func (s *instances) List(ctx context.Context) iter.Seq2[rollout.Instance, error] {
	if s.list == nil {
		return s.InstanceStore.List(ctx)
	}
	return s.list(ctx)
}

func instanceHarness(wrap func(rollout.InstanceStore) rollout.InstanceStore, name func(string) string, again bool) rollouttest.InstanceHarness {
	open := func(testing.TB) rollouttest.Hosts {
		return &hosts{memory.New(), wrap, name, map[string]rollout.InstanceStore{}, map[string]bool{}}
	}
	return rollouttest.InstanceHarness{
		Open: open,
		Again: func(t testing.TB, first rollouttest.Hosts) rollouttest.Hosts {
			if again {
				return first
			}
			return open(t)
		},
		Damage: func(_ testing.TB, h rollouttest.Hosts, _, id string) { h.(*hosts).damaged[id] = true },
	}
}

func sound(s rollout.InstanceStore) rollout.InstanceStore { return s }

func TestEveryCaseOfRunInstancesCatchesABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	broken := func(what, caught string, h rollouttest.InstanceHarness) {
		mutants = append(mutants, provetest.Mutant{What: what, Caught: caught, Cases: h.Cases()})
	}
	for _, m := range instanceMutants {
		broken(m.what, m.caught, instanceHarness(m.wrap, nil, true))
	}
	broken("names hosts in any case", "hosts do not see each other", instanceHarness(sound, strings.ToLower, true))
	broken("keeps instances in the handle", "two handles see the same instances", instanceHarness(sound, nil, false))
	provetest.Prove(t, instanceHarness(sound, nil, true).Cases(), mutants)
}

func putting(do func(s rollout.InstanceStore, ctx context.Context, i rollout.Instance) error) func(rollout.InstanceStore) rollout.InstanceStore {
	return func(s rollout.InstanceStore) rollout.InstanceStore {
		return &instances{InstanceStore: s, put: func(ctx context.Context, i rollout.Instance) error { return do(s, ctx, i.Clone()) }}
	}
}

func lists(do func(list iter.Seq2[rollout.Instance, error]) iter.Seq2[rollout.Instance, error]) func(rollout.InstanceStore) rollout.InstanceStore {
	return func(s rollout.InstanceStore) rollout.InstanceStore {
		return &instances{InstanceStore: s, list: func(ctx context.Context) iter.Seq2[rollout.Instance, error] { return do(s.List(ctx)) }}
	}
}

var instanceMutants = []struct {
	what, caught string
	wrap         func(rollout.InstanceStore) rollout.InstanceStore
}{
	{"misses what is gone", "a new host has no instances", func(s rollout.InstanceStore) rollout.InstanceStore {
		return &instances{InstanceStore: s, remove: func(ctx context.Context, id string) error {
			for i := range s.List(ctx) {
				if i.ID == id {
					return s.Remove(ctx, id)
				}
			}
			return rollout.ErrNotFound
		}}
	}},
	{"drops the process", "an instance comes back as it was put", putting(func(s rollout.InstanceStore, ctx context.Context, i rollout.Instance) error {
		i.Process = ""
		return s.Put(ctx, i)
	})},
	{"makes up an id", "an instance needs an id", putting(func(s rollout.InstanceStore, ctx context.Context, i rollout.Instance) error {
		if i.ID == "" {
			i.ID = "new"
		}
		return s.Put(ctx, i)
	})},
	{"keeps the first", "put replaces an instance, and remove forgets it", putting(func(s rollout.InstanceStore, ctx context.Context, i rollout.Instance) error {
		for old := range s.List(ctx) {
			if old.ID == i.ID {
				return nil
			}
		}
		return s.Put(ctx, i)
	})},
	{"lists backwards", "instances are listed in the order of their ids", lists(func(list iter.Seq2[rollout.Instance, error]) iter.Seq2[rollout.Instance, error] {
		return sorted(list, slices.Reverse[[]rollout.Instance])
	})},
	{"lists once", "instances may be changed while they are listed", lists(provetest.Once[rollout.Instance])},
	{"trims texts", "texts of an instance come back byte by byte", putting(func(s rollout.InstanceStore, ctx context.Context, i rollout.Instance) error {
		i.Endpoint = strings.TrimSpace(i.Endpoint)
		return s.Put(ctx, i)
	})},
	{"puts after the context", "a context that has ended puts and lists nothing",
		putting(func(s rollout.InstanceStore, ctx context.Context, i rollout.Instance) error {
			return errors.Join(s.Put(context.WithoutCancel(ctx), i), ctx.Err())
		})},
	{"lists nothing after the context, in silence", "a context that has ended puts and lists nothing", lists(provetest.Cut[rollout.Instance])},
	{"keeps what it was given", "what is put and what is listed is the caller's to change", func(s rollout.InstanceStore) rollout.InstanceStore {
		kept := map[string]rollout.Spec{}
		return &instances{
			InstanceStore: s,
			put:           func(ctx context.Context, i rollout.Instance) error { kept[i.ID] = i.Spec; return s.Put(ctx, i) },
			list: func(ctx context.Context) iter.Seq2[rollout.Instance, error] {
				return provetest.Each(s.List(ctx), func(_ int, i *rollout.Instance) bool { i.Spec = kept[i.ID]; return true })
			},
		}
	}},
	{"stops at what it cannot read", "an instance that cannot be read is named, and the others are listed",
		lists(func(list iter.Seq2[rollout.Instance, error]) iter.Seq2[rollout.Instance, error] {
			return func(yield func(rollout.Instance, error) bool) {
				list(func(i rollout.Instance, err error) bool { return yield(i, err) && err == nil })
			}
		})},
}
