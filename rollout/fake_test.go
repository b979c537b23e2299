package rollout_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// fleet is a Deployer whose replicas are entries of a map.
type fleet struct {
	mu       sync.Mutex
	startUp  time.Duration
	slow     time.Duration                             // of a Stop
	sick     map[string]string                         // by version: why it never gets ready
	begins   func(*rollout.Replica)                    // after startUp, with the mutex held
	refuses  func(rollout.RevisionID) error            // of Ensure
	stopping func(id rollout.RevisionID, ids []string) // before a Stop
	call     func(name string) error                   // before each call
	replicas map[string]*rollout.Replica
	ends     map[string]time.Time // when what is stopped is gone
	made     int
	observed atomic.Int64
	heard    []chan struct{}
}

func newFleet() *fleet {
	return &fleet{startUp: time.Second, sick: map[string]string{}, replicas: map[string]*rollout.Replica{}, ends: map[string]time.Time{}}
}

func (f *fleet) called(name string) error {
	f.mu.Lock()
	call := f.call
	f.mu.Unlock()
	if call == nil {
		return nil
	}
	return call(name)
}

// tell must be called with the mutex held.
func (f *fleet) tell() {
	for _, c := range f.heard {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (f *fleet) Check(context.Context, rollout.RevisionID, rollout.Spec) ([]string, error) {
	return nil, nil
}

func (f *fleet) Ensure(_ context.Context, id rollout.RevisionID, _ rollout.Spec, n int) error {
	if err := f.called("Ensure"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		if err := f.refuses(id); err != nil {
			return err
		}
	}
	for _, r := range f.replicas {
		if r.Revision == id && r.State != rollout.ReplicaStopping {
			n--
		}
	}
	for range n {
		f.made++
		name := fmt.Sprintf("%s-%d", id.Version, f.made)
		f.replicas[name] = &rollout.Replica{
			ID: name, Revision: id, Endpoint: "http://" + name, State: rollout.ReplicaStarting, StartedAt: time.Now().UTC(),
		}
		time.AfterFunc(f.startUp, func() { f.ready(name) })
	}
	f.tell()
	return nil
}

func (f *fleet) ready(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.replicas[name]; r != nil && r.State != rollout.ReplicaStopping {
		r.State = rollout.ReplicaReady
		if why := f.sick[r.Revision.Version]; why != "" {
			r.State, r.Failure = rollout.ReplicaFailing, why
		}
		if f.begins != nil {
			f.begins(r)
		}
		f.tell()
	}
}

func (f *fleet) Observe(_ context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	if err := f.called("Observe"); err != nil {
		return nil, err
	}
	f.observed.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []rollout.Replica
	for _, r := range f.replicas {
		if r.Revision.Service == s {
			all = append(all, *r)
		}
	}
	return all, nil
}

func (f *fleet) Logs(context.Context, rollout.RevisionID, rollout.LogQuery) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("hello\n")), nil
}

func (f *fleet) Changed(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, c)
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.heard = slices.DeleteFunc(f.heard, func(o chan struct{}) bool { return o == c })
		close(c)
	})
	return c
}

// kill makes replicas of a version disappear, at most n.
func (f *fleet) kill(version string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.replicas)) {
		if f.replicas[name].Revision.Version == version && n > 0 {
			delete(f.replicas, name)
			n--
		}
	}
	f.tell()
}

// locked changes the fleet while it is in use.
func (f *fleet) locked(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// heal makes whatever is sick well.
func (f *fleet) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.sick)
	for _, r := range f.replicas {
		if r.State == rollout.ReplicaFailing {
			r.State = rollout.ReplicaReady
		}
	}
	f.tell()
}

// change changes the replicas of a version.
func (f *fleet) change(version string, change func(*rollout.Replica)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if r.Revision.Version == version {
			change(r)
		}
	}
	f.tell()
}

// count counts the replicas of a version that are ready, and all.
func (f *fleet) count(version string) (ready, all int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if r.Revision.Version == version {
			all++
			if r.State == rollout.ReplicaReady {
				ready++
			}
		}
	}
	return ready, all
}

// splitter is a Router that counts what so many requests a second would be.
type splitter struct {
	mu      sync.Mutex
	tables  map[rollout.ServiceID]rollout.Table
	seen    []rollout.Table // as they were set
	rate    float64         // requests a second
	bad     map[string]float64
	slow    map[string]time.Duration // by version; default 10 ms
	open    map[string]bool          // endpoints whose requests do not end
	counts  map[string]rollout.Counts
	waiting int
	flying  int // requests that are open
	since   time.Time
	call    func(name string) error
	setting func(rollout.Table)
	heard   []chan struct{}
}

func newSplitter() *splitter {
	return &splitter{
		tables: map[rollout.ServiceID]rollout.Table{}, bad: map[string]float64{}, open: map[string]bool{},
		counts: map[string]rollout.Counts{}, since: time.Now(),
	}
}

func (r *splitter) called(name string) error {
	r.mu.Lock()
	call := r.call
	r.mu.Unlock()
	if call == nil {
		return nil
	}
	return call(name)
}

// count counts what was asked since the last time. The mutex is held.
func (r *splitter) count() {
	asked := r.rate * time.Since(r.since).Seconds()
	r.since = time.Now()
	for _, t := range r.tables {
		for _, w := range t.Split.Weights {
			c := r.counts[w.Run]
			n := int64(asked * float64(w.Percent) / 100)
			c.Requests += n
			c.Errors += int64(float64(n) * r.bad[w.Version])
			if c.Latency = slices.Clone(c.Latency); len(c.Latency) == 0 {
				for _, within := range []time.Duration{1, 10, 20, 50, 100, 200} {
					c.Latency = append(c.Latency, rollout.Bucket{Within: within * time.Millisecond})
				}
			}
			took := cmp.Or(r.slow[w.Version], 10*time.Millisecond)
			i := slices.IndexFunc(c.Latency, func(b rollout.Bucket) bool { return took <= b.Within })
			c.Latency[i].Count += n
			r.counts[w.Run] = c
		}
	}
}

func (r *splitter) Set(_ context.Context, s rollout.ServiceID, t rollout.Table) error {
	if err := r.called("Set"); err != nil {
		return err
	}
	if err := t.Check(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.Generation < r.tables[s].Generation {
		return rollout.ErrStale
	}
	r.count()
	r.tables[s] = t
	r.seen = append(r.seen, t)
	if r.setting != nil {
		r.setting(t)
	}
	return nil
}

func (r *splitter) Get(_ context.Context, s rollout.ServiceID) (rollout.Table, error) {
	if err := r.called("Get"); err != nil {
		return rollout.Table{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t, known := r.tables[s]
	if !known {
		return t, rollout.ErrNotFound
	}
	return t, nil
}

func (r *splitter) Drain(ctx context.Context, s rollout.ServiceID, endpoints ...string) error {
	if err := r.called("Drain"); err != nil {
		return err
	}
	r.mu.Lock()
	hangs := false
	for _, e := range endpoints {
		for _, in := range r.tables[s].Endpoints {
			if slices.Contains(in, e) {
				r.mu.Unlock()
				return fmt.Errorf("%w: %s is in the table", rollout.ErrStale, e)
			}
		}
		hangs = hangs || r.open[e]
	}
	r.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (r *splitter) Stats(context.Context, rollout.ServiceID) (rollout.Stats, error) {
	if err := r.called("Stats"); err != nil {
		return rollout.Stats{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count()
	return rollout.Stats{Waiting: r.waiting, Open: r.flying, Revisions: maps.Clone(r.counts)}, nil
}

func (r *splitter) Changed(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, c)
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.heard = slices.DeleteFunc(r.heard, func(o chan struct{}) bool { return o == c })
		close(c)
	})
	return c
}

// wait makes requests wait.
func (r *splitter) wait(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = n
	for _, c := range r.heard {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// table is the one in force.
func (r *splitter) table(s rollout.ServiceID) rollout.Table {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tables[s]
}

// shares are the percents in force by version, in words.
func shares(s rollout.Split) string { return s.String() }

// moves are the shares that were set, one after the other.
func (r *splitter) moves() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, t := range r.seen {
		if s := shares(t.Split); len(all) == 0 || all[len(all)-1] != s {
			all = append(all, s)
		}
	}
	return all
}
