package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/internal/ready"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

// replica is a process that is to run. The embedded Replica, since, running
// and until are guarded by the mutex of the Deployer.
type replica struct {
	rollout.Replica
	d       *Deployer
	spec    rollout.Spec
	since   time.Time       // its revision has had replicas without a break
	ctx     context.Context // of its supervision
	cancel  context.CancelFunc
	done    chan struct{} // closed when it is not supervised any more
	log     *output.Log
	sockets sockets       // of the supervising goroutine, and then of who stops it
	running *child        // nil if there is none
	turn    chan struct{} // full while somebody stops it

	until time.Time // when it is ended hard; zero if it is not being stopped
	asked bool      // to end
}

// A process that has run for steady is started again at once when it ends; one
// that ends sooner after a pause, which doubles from minPause to maxPause. What
// nothing can start is tried again after maxPause.
const (
	steady   = time.Minute
	minPause = 100 * time.Millisecond
	maxPause = time.Minute
)

// firstWait is between the first two probes of a process.
const firstWait = 20 * time.Millisecond

// newReplica returns a replica that is not supervised yet.
func (d *Deployer) newReplica(i rollout.Instance, now time.Time) *replica {
	r := &replica{
		Replica: rollout.Replica{ID: i.ID, Revision: i.Revision, State: rollout.ReplicaStarting, StartedAt: now.UTC()},
		d:       d, spec: i.Spec, done: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	r.ctx, r.cancel = context.WithCancel(d.supervision)
	return r
}

// add adds a replica. The caller holds d.adding.
func (d *Deployer) add(ctx context.Context, id rollout.RevisionID, s rollout.Spec) error {
	i := rollout.Instance{ID: newID(), Revision: id, Spec: s}
	if err := d.store.Put(ctx, i); err != nil {
		return err
	}
	r := d.newReplica(i, time.Now())
	r.log = d.output.Start(id, logFolder(s), r.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed { // what is in store and was not started is forgotten by the next Open
		return errors.Join(errClosed, r.log.Close())
	}
	d.supervise(r, nil)
	return nil
}

// supervise begins to supervise a replica, which may run. The mutex is held.
func (d *Deployer) supervise(r *replica, c *child) {
	r.since = r.StartedAt
	for _, other := range d.replicas {
		if other.Revision == r.Revision && other.since.Before(r.since) {
			r.since = other.since
		}
	}
	delete(d.asleep, r.Revision)
	d.replicas[r.ID] = r
	r.running = c
	d.working.Go(func() {
		defer close(r.done)
		r.supervised(c)
	})
	d.board.Tell()
}

// supervised keeps a process running until its context ends, and then leaves it
// as it is.
func (r *replica) supervised(c *child) {
	wait := minPause
	for {
		ran, err := r.life(c)
		if ran >= steady {
			wait = minPause
		}
		now, next := wait, min(2*wait, maxPause)
		if final(err) { // and what comes then is another matter
			now, next = maxPause, minPause
		}
		if pause.For(r.ctx, now) != nil {
			return
		}
		c, wait = nil, next
	}
}

// life starts a process, unless it is there, and returns when nothing is left of
// it, or supervision ends, how long it has run, or why it could not be started.
func (r *replica) life(c *child) (ran time.Duration, err error) {
	adopted := c != nil
	if !adopted {
		if c, err = r.start(); err != nil {
			r.fell(err)
			return 0, err
		}
	}
	probing, stop := context.WithCancel(r.ctx)
	probed := make(chan struct{})
	go func() {
		defer close(probed)
		r.probe(probing, c, adopted)
	}()
	how, err := c.wait(r.ctx)
	stop()
	<-probed
	ran = time.Since(r.StartedAt)
	if r.ctx.Err() != nil {
		return ran, nil // it is left as it is
	}
	if err != nil {
		r.fell(fmt.Errorf("it cannot be watched: %w", err))
	} else {
		r.fell(fmt.Errorf("it %s after %s", how, ran.Round(time.Millisecond)))
	}
	r.bury(c)
	return ran, nil
}

// final reports an error that another attempt would meet again.
func final(err error) bool {
	return errors.Is(err, rollout.ErrInvalid) || errors.Is(err, errors.ErrUnsupported)
}

// bury ends what a process has left: nothing is started beside that.
func (r *replica) bury(c *child) {
	for wait := minPause; ; wait = min(2*wait, maxPause) {
		err := c.kill(r.ctx)
		if err == nil {
			break
		}
		if r.ctx.Err() != nil {
			return // and who stops it ends the rest
		}
		r.answered(fmt.Errorf("what it has left cannot be ended: %w", err))
		if pause.For(r.ctx, wait) != nil {
			return
		}
	}
	r.d.mu.Lock()
	r.running = nil
	if !r.sockets.open {
		r.Endpoint = "" // that of one that was taken up has gone with it
	}
	r.d.mu.Unlock()
	_ = c.close()
}

// fell says that a process has ended, or could not be started, unless that is
// because supervision ends.
func (r *replica) fell(err error) {
	end := r.log.End()
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	r.State, r.Failure = rollout.ReplicaFailing, failure(err, end)
	r.Hopeless = final(err)
	r.Restarts++
	r.d.board.Tell()
	r.d.config.Logger.Warn("process: a replica is started again",
		"service", r.Revision.Service.String(), "version", r.Revision.Version, "run", r.Revision.Run, "replica", r.ID, "reason", err.Error())
}

// failure is what was bad, with the end of the output.
func failure(err error, end string) string {
	if end = strings.TrimSpace(end); end != "" {
		return err.Error() + "\n" + end
	}
	return err.Error()
}

// probe asks the process until ctx ends: often until it answers for the first
// time. One answer makes it ready, and one bad answer unready.
func (r *replica) probe(ctx context.Context, c *child, adopted bool) {
	h := ready.Complete(r.spec.Clone().Health)
	if !adopted && h.Delay > 0 && pause.For(ctx, h.Delay) != nil {
		return
	}
	wait := min(firstWait, h.Interval)
	for {
		endpoint, err := r.ask(ctx, h)
		if err == nil {
			err = r.settle(ctx, c, endpoint)
		}
		if ctx.Err() != nil {
			return
		}
		r.answered(err)
		if err == nil {
			wait = h.Interval
		}
		if pause.For(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, h.Interval)
	}
}

// ask asks the process where it is known to answer, or else both where its
// listener is and at its port.
func (r *replica) ask(ctx context.Context, h rollout.Health) (endpoint string, err error) {
	if e := r.Endpoint; e != "" { // which this goroutine alone changes
		return e, ready.Once(ctx, r.d.transport, e, h)
	}
	listener, port := r.sockets.addresses()
	if h.TCP { // a listener that is passed on accepts connections by itself
		return port, ready.Once(ctx, r.d.transport, port, h)
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	passed := make(chan error, 1)
	asking.Go(func() { passed <- ready.Once(ctx, r.d.transport, listener, h) })
	// It is accepted on the listener, and perhaps never answered, as soon as on
	// the port.
	for wait := firstWait; ; wait = min(2*wait, h.Interval) {
		if err = ready.Once(ctx, r.d.transport, port, h); err == nil {
			return port, nil
		}
		select {
		case second := <-passed:
			if second == nil {
				return listener, nil
			}
			return "", neither(strings.TrimPrefix(port, "http://"), err, second)
		case <-time.After(wait):
		}
	}
}

// neither is why a process answers neither at its port nor on its listener.
func neither(port string, err, passed error) error {
	switch {
	case !refused(err):
		return err
	case errors.Is(passed, context.DeadlineExceeded):
		return fmt.Errorf("it answers neither on the listener that it was passed nor on PORT (%s): %w", port, err)
	}
	return passed
}

// refused reports that nobody listens.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// settle remembers the process and where it answers, so that the next Open takes
// it up.
func (r *replica) settle(ctx context.Context, c *child, endpoint string) error {
	if c.settled {
		return nil
	}
	err := r.d.store.Put(ctx, rollout.Instance{
		ID: r.ID, Revision: r.Revision, Process: c.id.String(), Endpoint: endpoint, Spec: r.spec,
	})
	if err != nil {
		return fmt.Errorf("it answers, but cannot be remembered: %w", err)
	}
	c.settled = true
	r.d.mu.Lock()
	r.Endpoint = endpoint
	r.d.mu.Unlock()
	return r.sockets.settle(endpoint)
}

func (r *replica) answered(err error) {
	end := ""
	if err != nil {
		end = r.log.End()
	}
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	was := r.Replica
	switch {
	case r.State == rollout.ReplicaStopping:
	case err == nil:
		r.State, r.Failure, r.Hopeless = rollout.ReplicaReady, "", false
	default:
		r.Failure = failure(err, end)
		if r.State == rollout.ReplicaReady {
			r.State = rollout.ReplicaFailing
		}
	}
	if r.Replica != was {
		r.d.board.Tell()
	}
}

// began says that a process runs.
func (r *replica) began(c *child, at time.Time) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	r.running = c
	if r.State == rollout.ReplicaFailing {
		r.State, r.Hopeless = rollout.ReplicaStarting, false
	}
	r.StartedAt = at.UTC()
	r.d.board.Tell()
}

// leave lets go of what this process has of a replica that is not supervised
// any more.
func (r *replica) leave() error {
	var err error
	if r.running != nil {
		err = r.running.close()
	}
	return errors.Join(err, r.sockets.close(), r.log.Close())
}
