//go:build linux

package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestWhatIsOfAnotherFolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	one, two := open(t, process.Config{}), open(t, process.Config{})
	one.ensure(revision("v1"), spec("passed"), 1)
	two.ensure(revision("v1"), spec("passed"), 1)
	pid := one.pid(one.one(ready))
	two.one(ready)
	two.stopAll()
	two.reopen()
	require.Equal(t, pid, one.pid(one.one(ready)))
}

// TestTwoFoldersOnOneStoreAndHost has two Deployers that know nothing of each
// other.
func TestTwoFoldersOnOneStoreAndHost(t *testing.T) {
	t.Parallel()
	db := memory.New()
	one := open(t, process.Config{Store: db})
	one.ensure(revision("v1"), spec("passed"), 1)
	first := one.one(ready)
	pid := one.pid(first)
	listener := listenerAt(t, first.Endpoint)
	two := open(t, process.Config{Store: db})
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
	require.False(t, alive(pid))
	one.closes(listener)
}

func TestAFolderIsOfOneDeployer(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	opened := make(chan error, 1)
	second := m.config
	go func() {
		d, err := process.Open(second)
		if err == nil {
			err = d.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		require.Fail(t, "two Deployers of one folder", "%v", err)
	case <-time.After(300 * time.Millisecond):
	}
	require.NoError(t, m.d.Close())
	require.NoError(t, <-opened)
	m.reopen()
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
			m := open(t, process.Config{Dir: filepath.Join(t.TempDir(), folder)})
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

func TestOpenRefusesWhatItCannotDoWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	m := open(t, process.Config{})
	for _, c := range []process.Config{
		{}, {Dir: t.TempDir()}, {Store: m.config.Store}, {Dir: dir, Store: m.config.Store},
		{Dir: t.TempDir(), Store: m.config.Store, Environment: []string{"novalue"}},
	} {
		_, err := process.Open(c)
		require.Error(t, err)
	}
	require.NoError(t, m.d.Close())
	require.NoError(t, m.d.Close())
	for _, err := range []error{
		m.d.Ensure(t.Context(), revision("v1"), spec("passed"), 1),
		m.d.Stop(context.Background(), revision("v1"), nil, 0),
	} {
		require.ErrorIs(t, err, rollout.ErrClosed)
	}
	m.reopen()
}
