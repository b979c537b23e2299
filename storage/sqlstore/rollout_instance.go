package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
)

// Instances is the rollout.InstanceStore of a host.
type Instances struct {
	db   DB
	host []byte
}

var _ rollout.InstanceStore = (*Instances)(nil)

// Instances returns what a Deployer has started on a host.
func (a *Accessors) Instances(host string) rollout.InstanceStore {
	return storeOf(a, "rollout", host, func(db DB, _ storage.Retention) *Instances { return &Instances{db, []byte(host)} })
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (s *Instances) On(db DB) *Instances { return &Instances{db, s.host} }

const (
	instancePut = `
INSERT INTO upkeep_rollout_instance (host, id, record) VALUES (?1, ?2, ?3)
ON CONFLICT (host, id) DO UPDATE SET record = excluded.record`

	instanceRemove = `DELETE FROM upkeep_rollout_instance WHERE host = ?1 AND id = ?2`

	instanceList = `SELECT id, record FROM upkeep_rollout_instance WHERE host = ?1 AND id > ?2 ORDER BY id LIMIT `
)

// Put keeps the promise of rollout.InstanceStore.
func (s *Instances) Put(ctx context.Context, i rollout.Instance) error {
	if i.ID == "" {
		return fmt.Errorf("%w: an instance without an id", rollout.ErrInvalid)
	}
	record, err := encode(instanceOf(i))
	if err == nil {
		err = s.db.Write(ctx, func(tx Tx) error { return tx.Exec(instancePut, s.host, []byte(i.ID), record) })
	}
	if err != nil {
		return fmt.Errorf("keeping instance %q: %w", i.ID, err)
	}
	return nil
}

// Remove keeps the promise of rollout.InstanceStore.
func (s *Instances) Remove(ctx context.Context, id string) error {
	err := s.db.Write(ctx, func(tx Tx) error { return tx.Exec(instanceRemove, s.host, []byte(id)) })
	if err != nil {
		return fmt.Errorf("forgetting instance %q: %w", id, err)
	}
	return nil
}

// scannedInstance is an instance as it is read.
type scannedInstance struct {
	instance rollout.Instance
	fault    error // why it is not whole
}

// List keeps the promise of rollout.InstanceStore.
func (s *Instances) List(ctx context.Context) iter.Seq2[rollout.Instance, error] {
	all := list(paging(eventPage), "", func(after string, size int) (p page[scannedInstance, string], err error) {
		q := query{instanceList + strconv.Itoa(size), []any{s.host, []byte(after)}}
		err = s.db.Read(ctx, func(tx Tx) error {
			p = page[scannedInstance, string]{}
			return p.read(tx, q, func(scan func(...any) error) error {
				var id []byte
				var record string
				if err := scan(&id, &record); err != nil {
					return err
				}
				if err := p.take(string(id), len(record)); err != nil {
					return err
				}
				r := scannedInstance{}
				if r.instance, r.fault = decodeInstance(record); r.fault != nil {
					r.fault = fmt.Errorf("%w: instance %q", r.fault, id)
				}
				r.instance.ID = string(id)
				p.entries = append(p.entries, r)
				return nil
			})
		})
		if err != nil {
			err = fmt.Errorf("reading the instances: %w", err)
		}
		return p, err
	})
	return whole(all, func(r scannedInstance) (rollout.Instance, error) { return r.instance, r.fault })
}
