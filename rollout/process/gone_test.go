//go:build linux

package process_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestWhatHasGoneIsPreparedAgain(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{"builds/*", "builds/*/web", "archives/" + strings.Repeat("?", 64)} {
		t.Run(strings.ReplaceAll(gone, "/", " "), func(t *testing.T) {
			t.Parallel()
			b := &builder{dirs: map[string]bool{}}
			m, s := open(t, process.Config{Build: b.build}), imaged()
			if strings.HasPrefix(gone, "archives") {
				s = offering(t, map[string]string{"bin/web": web, "page": "a page\n"}).spec()
			}
			m.ensure(revision("v1"), s, 1)
			r := m.one(ready)
			found, err := filepath.Glob(filepath.Join(m.config.Dir, gone))
			require.NoError(t, err)
			require.Len(t, found, 1)
			require.NoError(t, os.RemoveAll(found[0]))
			m.again(r)
		})
	}
}

// TestWhatIsDeletedWhileItIsAskedForAgainIsBuiltAgain: the last replica goes once
// it is decided what of others is forgotten, and before folders are deleted.
func TestWhatIsDeletedWhileItIsAskedForAgainIsBuiltAgain(t *testing.T) {
	t.Parallel()
	b := &builder{dirs: map[string]bool{}}
	v1, v2, v3 := revision("v1"), revision("v2"), revision("v3")
	holding, hold := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	store := &moody{Store: memory.New(), putFails: func(i rollout.Instance) bool {
		if i.Revision == v3 && once.CompareAndSwap(false, true) {
			close(holding)
			<-hold
			return true
		}
		return false
	}}
	m := open(t, process.Config{Build: b.build, Store: store})
	m.ensure(v1, imaged(), 1)
	m.ensure(v2, imaged(), 1)
	r1, r2 := m.named(v1, ready), m.named(v2, ready)
	third, first := make(chan error, 1), make(chan error, 1)
	go func() { third <- m.d.Ensure(t.Context(), v3, spec("passed"), 1) }()
	<-holding // whoever deletes builds waits
	stray := filepath.Join(m.config.Dir, "archives", strings.Repeat("0", 64))
	require.NoError(t, os.Mkdir(stray, 0o700))
	m.stop(r2, 0)
	m.eventually(func() bool { _, err := os.Stat(stray); return errors.Is(err, os.ErrNotExist) }, func() any { return stray })
	m.stop(r1, 0)
	go func() { first <- m.d.Ensure(t.Context(), v1, imaged(), 1) }()
	close(hold)
	require.ErrorIs(t, <-third, errMoody)
	require.NoError(t, <-first)
	m.named(v1, ready)
}
