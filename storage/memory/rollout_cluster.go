package memory

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/notice"
	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/rollout"
)

var _ rollout.Deployer = (*Deployer)(nil)

// Cluster configures a simulated cluster. A zero field means its documented default.
type Cluster struct {
	StartUp time.Duration // of a replica; default none
	// Fail is asked when a replica has started up: an error is why it fails, and
	// nil makes it ready. It may be asked of several at once. Default: all get
	// ready.
	Fail    func(rollout.RevisionID) error
	Latency time.Duration // of each call of the Deployer; default none
}

// Deployer is a simulated cluster: its replicas are entries in memory, and
// nothing listens at their endpoints, which end in .cluster.invalid. For a test
// of requests, package rollouttest has a Transport that does. It runs whatever
// it is given, and is safe for concurrent use.
type Deployer struct {
	db      *DB
	cluster Cluster
	board   notice.Board

	// by the mutex of db
	made     int
	replicas map[string]*rollout.Replica
	logs     map[rollout.RevisionID]*output
}

// Deployer returns a new cluster, without replicas. It is gone when the DB is
// closed.
func (db *DB) Deployer(c Cluster) *Deployer {
	d := &Deployer{
		db: db, cluster: c,
		replicas: make(map[string]*rollout.Replica), logs: make(map[rollout.RevisionID]*output),
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		d.forget()
	}
	db.stores[d] = d
	return d
}

// forget implements store.
func (d *Deployer) forget() {
	for _, o := range d.logs {
		o.end()
	}
	d.replicas, d.logs = nil, nil
}

// lock takes the mutex for a call that has come through.
func (d *Deployer) lock(ctx context.Context) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	return d.db.lock(ctx)
}

func (d *Deployer) wait(ctx context.Context) error {
	if d.cluster.Latency <= 0 {
		return nil
	}
	return pause.For(ctx, d.cluster.Latency)
}

// Check implements rollout.Deployer.
func (d *Deployer) Check(ctx context.Context, _ rollout.RevisionID, _ rollout.Spec) (notEnforced []string, err error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer d.db.mu.Unlock()
	return nil, nil
}

// Ensure implements rollout.Deployer.
func (d *Deployer) Ensure(ctx context.Context, id rollout.RevisionID, _ rollout.Spec, replicas int) error {
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.db.mu.Unlock()
	for _, r := range d.replicas {
		if r.Revision == id && r.State != rollout.ReplicaStopping {
			replicas--
		}
	}
	for range replicas {
		d.start(id)
	}
	return nil
}

// start must be called with the mutex held.
func (d *Deployer) start(id rollout.RevisionID) {
	d.made++
	r := &rollout.Replica{
		ID: fmt.Sprintf("r%d", d.made), Revision: id, Endpoint: fmt.Sprintf("http://r%d.cluster.invalid", d.made),
		State: rollout.ReplicaStarting, StartedAt: time.Now().UTC(),
	}
	d.replicas[r.ID] = r
	if d.logs[id] == nil {
		d.logs[id] = newOutput()
	}
	d.changed(r)
	time.AfterFunc(d.cluster.StartUp, func() { d.started(r) })
}

// started is called when a replica has started up.
func (d *Deployer) started(r *rollout.Replica) {
	var failure error
	if d.cluster.Fail != nil {
		failure = d.cluster.Fail(r.Revision)
	}
	d.db.mu.Lock()
	defer d.db.mu.Unlock()
	if d.replicas[r.ID] != r || r.State != rollout.ReplicaStarting {
		return
	}
	r.State = rollout.ReplicaReady
	if failure != nil {
		r.State, r.Failure = rollout.ReplicaFailing, failure.Error()
	}
	d.changed(r)
}

// changed must be called with the mutex held.
func (d *Deployer) changed(r *rollout.Replica) {
	line := r.ID + " " + string(r.State)
	if r.Failure != "" {
		line += ": " + r.Failure
	}
	d.logs[r.Revision].write(line)
	d.board.Tell()
}

// Observe implements rollout.Deployer: the oldest replica comes first.
func (d *Deployer) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer d.db.mu.Unlock()
	var all []rollout.Replica
	for _, r := range d.replicas {
		if r.Revision.Service == s {
			all = append(all, *r)
		}
	}
	slices.SortFunc(all, func(a, b rollout.Replica) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), len(a.ID)-len(b.ID), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Stop implements rollout.Deployer. What is stopped ends within the Latency.
func (d *Deployer) Stop(ctx context.Context, id rollout.RevisionID, replicas []string, _ time.Duration) error {
	if err := d.db.lock(ctx); err != nil {
		return err
	}
	stopping := map[string]*rollout.Replica{}
	for _, name := range replicas {
		r := d.replicas[name]
		if r == nil || r.Revision != id {
			continue
		}
		stopping[name] = r
		if r.State != rollout.ReplicaStopping {
			r.State, r.Failure = rollout.ReplicaStopping, ""
			d.changed(r)
		}
	}
	d.db.mu.Unlock()
	if err := d.wait(ctx); err != nil {
		return err
	}
	d.db.mu.Lock()
	defer d.db.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(stopping)) {
		d.end(stopping[name], "stopped")
	}
	return nil
}

// end must be called with the mutex held.
func (d *Deployer) end(r *rollout.Replica, how string) {
	if d.replicas[r.ID] != r {
		return
	}
	delete(d.replicas, r.ID)
	d.logs[r.Revision].write(r.ID + " " + how)
	d.board.Tell()
}

// Logs implements rollout.Deployer: a line for each change of a
// replica, and what Print has added.
func (d *Deployer) Logs(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer d.db.mu.Unlock()
	o := d.logs[id]
	if o == nil {
		return nil, fmt.Errorf("%w: output of %s", rollout.ErrNotFound, id)
	}
	return o.read(ctx, q), nil
}

// Changed implements rollout.Deployer.
func (d *Deployer) Changed(ctx context.Context) <-chan struct{} { return d.board.Listen(ctx) }

// Kill makes a replica die, as with its machine: it is not there any more. It is
// ErrNotFound if it was not before.
func (d *Deployer) Kill(replica string) error {
	return d.on(replica, func(r *rollout.Replica) { d.end(r, "killed") })
}

// Print adds a line to the output of a replica's revision. It is ErrNotFound if
// there is no such replica.
func (d *Deployer) Print(replica, line string) error {
	return d.on(replica, func(r *rollout.Replica) { d.logs[r.Revision].write(r.ID + " " + line) })
}

// Change changes what Observe tells of a replica: what it uses, that it fails,
// how often it has restarted. Its ID and its Revision stay. It is ErrNotFound if
// there is none.
func (d *Deployer) Change(replica string, change func(r *rollout.Replica)) error {
	return d.on(replica, func(r *rollout.Replica) {
		id, revision := r.ID, r.Revision
		change(r)
		r.ID, r.Revision = id, revision
		d.changed(r)
	})
}

func (d *Deployer) on(replica string, do func(*rollout.Replica)) error {
	if err := d.db.lock(context.Background()); err != nil {
		return err
	}
	defer d.db.mu.Unlock()
	r := d.replicas[replica]
	if r == nil {
		return fmt.Errorf("%w: replica %q", rollout.ErrNotFound, replica)
	}
	do(r)
	return nil
}
