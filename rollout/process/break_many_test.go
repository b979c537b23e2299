//go:build linux

package process_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

func TestTwentyReplicasAtOnce(t *testing.T) {
	t.Parallel()
	m, v1 := breakable(t, process.Config{}), revision("v1")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := m.d.Ensure(t.Context(), v1, spec("passed"), 20); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	m.eventually(func() bool {
		for _, r := range m.all() {
			if !ready(r) {
				return false
			}
		}
		return true
	}, func() any { return m.all() })
	require.Len(t, m.all(), 20)
	require.Len(t, marked(t, m.config.Dir), 20)
	endpoints := map[string]bool{}
	var ids []string
	for _, r := range m.all() {
		endpoints[r.Endpoint] = true
		ids = append(ids, r.ID)
	}
	require.Len(t, endpoints, 20)
	m.reopen()
	require.Len(t, m.all(), 20)
	require.NoError(t, m.d.Stop(t.Context(), v1, ids, 10*time.Second))
	require.Empty(t, m.all())
	require.Empty(t, marked(t, m.config.Dir))
	require.Empty(t, m.instances())
}

// TestEnsureAndStopRace has both at once, of the same revision: what there is in
// the end is what is in store and what runs.
func TestEnsureAndStopRace(t *testing.T) {
	t.Parallel()
	m, v1 := breakable(t, process.Config{}), revision("v1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rounds := 6
	if full() {
		rounds = 60
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for i := range rounds {
				if err := m.d.Ensure(ctx, v1, spec("passed"), 1+i%3); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(i%4) * 10 * time.Millisecond)
			}
		})
		all.Go(func() {
			for range rounds {
				seen, err := m.d.Observe(ctx, shop)
				if err != nil {
					t.Error(err)
					return
				}
				var ids []string
				for _, r := range seen {
					ids = append(ids, r.ID)
				}
				if err := m.d.Stop(ctx, v1, ids, time.Second); err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	all.Wait()
	m.ensure(v1, spec("passed"), 2)
	m.eventually(func() bool {
		n := 0
		for _, r := range m.all() {
			if ready(r) {
				n++
			}
		}
		return n == len(m.all())
	}, func() any { return m.all() })
	there := map[string]bool{}
	for _, r := range m.all() {
		there[r.ID+"@"+m.config.Dir] = true
	}
	for pid, mark := range marked(t, m.config.Dir) {
		require.True(t, there[mark], "%d is nobody's", pid)
	}
	require.Len(t, m.instances(), len(there))
}

func TestNamesMayBeStrange(t *testing.T) {
	t.Parallel()
	names := []string{"größe 版本 🎈", strings.Repeat("v", 200), "../../v", "v 1", "a/b", "%2F", "-rf", "v\nw", "@", "CON"}
	folders := []string{`größe "b'$(d)`, "a@b", "with space"}
	if !full() {
		names, folders = names[:3], folders[:1]
	}
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			m := breakable(t, process.Config{Dir: filepath.Join(t.TempDir(), folder)})
			for i, name := range names {
				id := rollout.RevisionID{Service: rollout.ServiceID{Env: name, Name: "shop " + name}, Version: name, Run: fmt.Sprint("run-", i)}
				m.ensure(id, spec("passed"), 1)
				r := m.named(id, ready)
				m.post(r, "/print", "here is one")
				m.eventually(func() bool { return strings.Contains(m.output(id), "here is one") }, func() any { return m.output(id) })
				pid := m.pid(r)
				m.reopen()
				require.Equal(t, pid, m.pid(m.named(id, ready)))
				m.stop(r, 5*time.Second)
				require.False(t, alive(pid))
				require.Contains(t, m.output(id), "here is one")
			}
			require.Empty(t, marked(t, m.config.Dir))
		})
	}
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
				m, v1 := breakable(t, process.Config{Store: storagetest.NewFaulty(db, f.fault)}), revision("v1")
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

// TestTwoFoldersOnOneStoreAndHost has two Deployers that know nothing of each
// other.
func TestTwoFoldersOnOneStoreAndHost(t *testing.T) {
	t.Parallel()
	db := memory.New()
	one := breakable(t, process.Config{Store: db})
	one.ensure(revision("v1"), spec("passed"), 1)
	first := one.one(ready)
	pid := one.pid(first)
	two := breakable(t, process.Config{Store: db})
	require.Empty(t, two.all(), "it is not its own")
	two.ensure(revision("v1"), spec("passed"), 1)
	second := two.one(ready)
	require.NotEqual(t, first.ID, second.ID)
	one.reopen()
	two.reopen()
	require.Equal(t, pid, one.pid(one.one(ready)))
	require.Equal(t, second.ID, two.one(ready).ID)
	two.stop(second, time.Second)
	require.NoError(t, one.d.Close())
	two.reopen()
	one.reopen()
	require.Equal(t, pid, one.pid(one.one(ready)))
	require.Zero(t, one.all()[0].Restarts)
	one.stop(first, time.Second)
	conn, err := net.Dial("tcp", strings.TrimPrefix(first.Endpoint, "http://"))
	if err == nil {
		require.NoError(t, conn.Close())
	}
	require.Error(t, err)
}
