//go:build linux

package process_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

var errMoody = errors.New("no space left in store")

// moody is a store of which calls fail, or wait for the end of their context.
type moody struct {
	process.Store
	rollout.InstanceStore
	putFails   func(rollout.Instance) bool
	removeFail atomic.Bool
	listFail   atomic.Bool
	hangs      atomic.Bool
}

func (m *moody) Instances(host string) rollout.InstanceStore {
	m.InstanceStore = m.Store.Instances(host)
	return m
}

func (m *moody) Put(ctx context.Context, i rollout.Instance) error {
	if m.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if m.putFails != nil && m.putFails(i) {
		return errMoody
	}
	return m.InstanceStore.Put(ctx, i)
}

func (m *moody) Remove(ctx context.Context, id string) error {
	if m.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if m.removeFail.Load() {
		return errMoody
	}
	return m.InstanceStore.Remove(ctx, id)
}

func (m *moody) List(ctx context.Context) iter.Seq2[rollout.Instance, error] {
	if m.listFail.Load() {
		return func(yield func(rollout.Instance, error) bool) { yield(rollout.Instance{}, errMoody) }
	}
	return m.InstanceStore.List(ctx)
}

func TestNothingStartsThatIsNotInStore(t *testing.T) {
	t.Parallel()
	store := &moody{Store: memory.New(), putFails: func(rollout.Instance) bool { return true }}
	m := open(t, process.Config{Store: store})
	require.ErrorIs(t, m.d.Ensure(t.Context(), revision("v1"), spec("passed"), 1), errMoody)
	require.Empty(t, m.all())
	require.Empty(t, m.instances())
}

func TestWhatAnswersIsReadyOnceItIsRemembered(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	fails.Store(true)
	store := &moody{Store: memory.New(), putFails: func(i rollout.Instance) bool { return i.Process != "" && fails.Load() }}
	m := open(t, process.Config{Store: store})
	s := spec("passed")
	s.Health = &rollout.Health{Interval: 50 * time.Millisecond}
	m.ensure(revision("v1"), s, 1)
	r := m.one(func(r rollout.Replica) bool { return r.Failure != "" })
	require.Equal(t, rollout.ReplicaStarting, r.State)
	require.Contains(t, r.Failure, "it answers, but cannot be remembered: no space left in store")
	fails.Store(false)
	require.Zero(t, m.one(ready).Restarts)
	i := m.instances()
	require.Len(t, i, 1)
	require.NotEmpty(t, i[0].Process)
}

func TestWhatCannotBeForgottenIsStoppedAgain(t *testing.T) {
	t.Parallel()
	store, v1 := &moody{Store: memory.New()}, revision("v1")
	m := open(t, process.Config{Store: store})
	m.ensure(v1, spec("passed"), 1)
	r := m.one(ready)
	pid := m.pid(r)
	store.removeFail.Store(true)
	for range 2 {
		require.ErrorIs(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Minute), errMoody)
		require.Equal(t, rollout.ReplicaStopping, m.one(func(rollout.Replica) bool { return true }).State)
		require.False(t, alive(pid))
	}
	store.removeFail.Store(false)
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Minute))
	require.Empty(t, m.all())
	require.Empty(t, m.instances())
}

func TestWhoCannotListEndsNothing(t *testing.T) {
	t.Parallel()
	store := &moody{Store: memory.New()}
	m := open(t, process.Config{Store: store})
	m.ensure(revision("v1"), spec("passed"), 1)
	r := m.one(ready)
	pid := m.pid(r)
	require.NoError(t, m.d.Close())
	store.listFail.Store(true)
	_, err := process.Open(m.config)
	require.ErrorIs(t, err, errMoody)
	store.listFail.Store(false)
	m.reopen()
	require.Equal(t, pid, m.pid(m.one(ready)))
}

func TestCloseEndsCallsThatWaitForTheStore(t *testing.T) {
	t.Parallel()
	store, v1 := &moody{Store: memory.New()}, revision("v1")
	m := open(t, process.Config{Store: store})
	m.ensure(v1, spec("passed"), 1)
	r := m.one(ready)
	pid := m.pid(r)
	store.hangs.Store(true)
	stopped, ensured := make(chan error, 1), make(chan error, 1)
	go func() { stopped <- m.d.Stop(context.Background(), v1, []string{r.ID}, 0) }()
	m.eventually(func() bool { return !alive(pid) }, func() any { return m.all() })
	go func() { ensured <- m.d.Ensure(context.Background(), v1, spec("passed"), 2) }()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.d.Ensure(short, v1, spec("passed"), 2), context.DeadlineExceeded)
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- m.d.Close() }()
	}
	for _, c := range []chan error{closed, closed, stopped, ensured} {
		select {
		case err := <-c:
			if c == closed {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, rollout.ErrClosed, "of Stop: %v", c == stopped)
			}
		case <-time.After(time.Minute):
			require.Fail(t, "it waits for ever")
		}
	}
	store.hangs.Store(false)
	m.reopen()
	require.Empty(t, m.all(), "what had ended is not taken up")
}

var errStore = errors.New("the store is away")

// failing is a fault that fails once at the nth call of a name, before it or, so
// that only the reply is lost, after it.
type failing struct {
	op     string
	n      int64
	after  bool
	count  atomic.Int64
	failed atomic.Bool
}

func (f *failing) fault(op string, call func() error) error {
	if op != f.op || f.count.Add(1) != f.n {
		return call()
	}
	f.failed.Store(true)
	if f.after {
		if err := call(); err != nil {
			return err
		}
	}
	return errStore
}

func TestAStoreThatFailsOnceAnywhere(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, at := range []struct {
			does string
			op   string
			n    int64
		}{{"start", "Put", 1}, {"readiness", "Put", 2}, {"stop", "Remove", 1}, {"open", "List", 1}} {
			t.Run(fmt.Sprint(at.does, " ", after), func(t *testing.T) {
				t.Parallel()
				db := memory.New()
				f := &failing{op: at.op, n: at.n, after: after}
				if at.does == "open" {
					f.n = -1 // not yet
				}
				m, v1 := open(t, process.Config{Store: storagetest.NewFaulty(db, f.fault)}), revision("v1")
				err := m.d.Ensure(t.Context(), v1, spec("passed"), 1)
				if at.does == "start" {
					require.ErrorIs(t, err, errStore)
					require.Empty(t, m.all())
					m.ensure(v1, spec("passed"), 1)
				}
				r := m.one(ready)
				pid := m.pid(r)
				require.Zero(t, r.Restarts, "it is not the program's fault")
				if at.does == "open" {
					require.NoError(t, m.d.Close())
					f.count.Store(0)
					f.n = 1
					_, err := process.Open(m.config)
					require.ErrorIs(t, err, errStore)
				}
				m.reopen()
				r = m.one(ready)
				require.Equal(t, pid, m.pid(r))
				err = m.d.Stop(t.Context(), v1, []string{r.ID}, time.Second)
				if at.does == "stop" {
					require.ErrorIs(t, err, errStore)
					require.Equal(t, rollout.ReplicaStopping, m.all()[0].State)
					require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Second))
				}
				require.True(t, f.failed.Load())
				require.Empty(t, m.all())
				require.False(t, alive(pid))
				require.Empty(t, m.instances())
			})
		}
	}
}
