package memory

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
)

// instances is the rollout.InstanceStore of a host.
type instances struct {
	db  *DB
	all map[string]rollout.Instance
}

// Instances returns what a Deployer has started on a host.
func (db *DB) Instances(host string) rollout.InstanceStore { return storeOf(db, host, newInstances) }

func newInstances(db *DB, _ storage.Retention) *instances {
	return &instances{db: db, all: make(map[string]rollout.Instance)}
}

// Put implements rollout.InstanceStore.
func (s *instances) Put(ctx context.Context, i rollout.Instance) error {
	if i.ID == "" {
		return fmt.Errorf("%w: an instance without an id", rollout.ErrInvalid)
	}
	if err := s.db.lock(ctx); err != nil {
		return err
	}
	defer s.db.mu.Unlock()
	s.all[i.ID] = i.Clone()
	return nil
}

// Remove implements rollout.InstanceStore.
func (s *instances) Remove(ctx context.Context, id string) error {
	if err := s.db.lock(ctx); err != nil {
		return err
	}
	defer s.db.mu.Unlock()
	delete(s.all, id)
	return nil
}

// List implements rollout.InstanceStore.
func (s *instances) List(ctx context.Context) iter.Seq2[rollout.Instance, error] {
	return func(yield func(rollout.Instance, error) bool) {
		if err := s.db.lock(ctx); err != nil {
			yield(rollout.Instance{}, err)
			return
		}
		all := maps.Clone(s.all)
		s.db.mu.Unlock()
		for _, id := range slices.Sorted(maps.Keys(all)) {
			if !yield(all[id].Clone(), nil) {
				return
			}
		}
	}
}

// forget implements store.
func (s *instances) forget() { s.all = nil }
