//go:build linux

package process_test

import (
	"context"
	"fmt"
	"os"
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
)

// builder counts what it builds.
type builder struct {
	mu      sync.Mutex
	built   []string
	dirs    map[string]bool
	failing atomic.Bool
}

func (b *builder) build(_ context.Context, id rollout.RevisionID, s rollout.Spec, dir string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.built = append(b.built, id.Version)
	b.dirs[dir] = true
	if b.failing.Load() {
		return nil, fmt.Errorf("no room for %s", s.Image.Repository)
	}
	path := filepath.Join(dir, "web")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec \"$PROGRAM\"\n"), 0o700); err != nil {
		return nil, err
	}
	return []string{path}, nil
}

// imaged is the content of a service that a builder builds.
func imaged() rollout.Spec {
	s := spec("passed")
	s.Command, s.Image = nil, &rollout.Image{Repository: "registry.example/shop"}
	s.Environment["PROGRAM"] = os.Args[0]
	return s
}

func (b *builder) times() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.built)
}

func TestABuildIsOnceForAllReplicas(t *testing.T) {
	t.Parallel()
	b := &builder{dirs: map[string]bool{}}
	m, v1 := open(t, process.Config{Build: b.build}), revision("v1")
	s := imaged()
	b.failing.Store(true)
	m.ensure(v1, s, 3)
	m.eventually(func() bool {
		return strings.HasPrefix(m.all()[0].Failure, "no room for registry.example/shop")
	}, func() any { return m.all() })
	b.failing.Store(false)
	m.eventually(func() bool {
		all := m.all()
		return ready(all[0]) && ready(all[1]) && ready(all[2])
	}, func() any { return m.all() })
	built := b.times()
	m.ensure(v1, s, 5)
	m.eventually(func() bool { return len(m.all()) == 5 && ready(m.all()[4]) }, func() any { return m.all() })
	m.again(m.all()[0])
	require.Equal(t, built, b.times(), "once it is built it is not built again")
	require.Len(t, b.dirs, 1)
	m.reopen()
	require.Equal(t, built, b.times(), "what runs is not built")
	for dir := range b.dirs {
		require.FileExists(t, filepath.Join(dir, "web"))
		for _, r := range m.all() {
			m.stop(r, time.Second)
		}
		m.eventually(func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) }, func() any { return dir })
	}
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
