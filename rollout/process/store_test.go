//go:build linux

package process_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/memory"
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

func TestWhatIsStoppedWhileItIsBuiltIsStopping(t *testing.T) {
	t.Parallel()
	store, v1 := &moody{Store: memory.New()}, revision("v1")
	building := make(chan struct{})
	m := open(t, process.Config{Store: store, Build: func(ctx context.Context, _ rollout.RevisionID, _ rollout.Spec, _ string) ([]string, error) {
		close(building)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	m.ensure(v1, rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, 1)
	<-building
	store.removeFail.Store(true)
	require.ErrorIs(t, m.d.Stop(t.Context(), v1, []string{m.all()[0].ID}, 0), errMoody)
	r := m.all()[0]
	require.Equal(t, rollout.ReplicaStopping, r.State)
	require.Empty(t, r.Failure)
	require.Zero(t, r.Restarts)
	store.removeFail.Store(false)
}
