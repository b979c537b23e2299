package rollouttest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// watch watches until the case is over.
func (t *deployerTest) watch() <-chan struct{} {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return t.d.Changed(ctx)
}

// when waits until ok, and looks only when it is told that something changed.
func (t *deployerTest) when(changed <-chan struct{}, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case _, more := <-changed:
			require.True(t, more)
		case <-time.After(time.Minute):
			require.Fail(t, "nobody is told of a change")
		}
	}
}

func (t *deployerTest) told() {
	id := revision("v1")
	one, two := t.watch(), t.watch()
	for _, changed := range []<-chan struct{}{one, two} {
		t.ensure(id, 1)
		t.when(changed, func() bool {
			all := t.of(id)
			return len(all) == 1 && all[0].State == rollout.ReplicaReady
		})
		t.quiet(changed)
		t.stop(id, t.ids(id)...)
		select {
		case <-changed:
		case <-time.After(time.Minute):
			require.Fail(t, "nobody is told that a replica is gone")
		}
	}
}

// quiet waits until nothing is told any more.
func (t *deployerTest) quiet(changed <-chan struct{}) {
	t.Helper()
	for begun := time.Now(); ; {
		select {
		case <-changed:
			require.Less(t, time.Since(begun), time.Minute, "it changes all the time")
		case <-time.After(3 * time.Second):
			return
		}
	}
}

func (t *deployerTest) toldOfFailure() {
	id := revision("v1")
	t.ensure(id, 1)
	r := t.ready(id, 1)[0]
	changed := t.watch()
	t.h.Fail(t, t.d, r)
	select {
	case <-changed:
	case <-time.After(time.Minute):
		require.Fail(t, "nobody is told of a failure")
	}
	t.when(changed, func() bool {
		all := t.of(id)
		return len(all) == 0 || all[0].State != rollout.ReplicaReady || all[0].Restarts > r.Restarts
	})
}

func (t *deployerTest) seldom() {
	id := revision("v1")
	changed := t.watch()
	begun, told, done := time.Now(), 0, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer close(done)
		for {
			select {
			case <-changed:
				told++
			case <-ctx.Done():
				return
			}
		}
	}()
	for range 20 {
		t.ensure(id, 1)
		t.stop(id, t.ids(id)...)
	}
	t.later()
	elapsed := time.Since(begun)
	if !t.h.RealTime {
		elapsed -= time.Minute // in which nothing happens
	}
	cancel()
	<-done
	require.NotZero(t, told)
	require.LessOrEqual(t, told, int(elapsed/(10*time.Millisecond))+3)
}

func (t *deployerTest) unwatched() {
	ctx, cancel := context.WithCancel(context.Background())
	changed := t.d.Changed(ctx)
	other := t.watch()
	cancel()
	t.eventually(func() bool {
		select {
		case _, more := <-changed:
			return !more
		default:
			return false
		}
	})
	t.ensure(revision("v1"), 1)
	t.when(other, func() bool { return len(t.of(revision("v1"))) == 1 })
}
