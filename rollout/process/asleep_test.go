//go:build linux

package process_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestAServiceThatSleepsWakesWithWhatItHas(t *testing.T) {
	t.Parallel()
	b, a := &builder{dirs: map[string]bool{}}, offering(t, map[string]string{"bin/web": web, "page": "a page\n"})
	m, v1, v2, none := open(t, process.Config{Build: b.build}), revision("v1"), revision("v2"), 0
	image := imaged()
	image.MinReplicas = &none
	blog := rollout.RevisionID{Service: rollout.ServiceID{Name: "blog"}, Version: "v1", Run: "run-blog"}
	archived := a.spec()
	archived.MinReplicas = &none
	left := func() int { return len(m.prepared()) }
	sleep := func(id rollout.RevisionID, s rollout.Spec) {
		m.ensure(id, s, 1)
		m.sleep(id)
	}
	for range 2 {
		sleep(v1, image)
		sleep(blog, archived)
	}
	require.Equal(t, 1, b.times())
	require.EqualValues(t, 1, a.asked.Load())
	require.Equal(t, 2, left())
	image.MinReplicas = nil
	sleep(v2, image) // it does not sleep: it is removed
	require.Equal(t, 2, left())
	image.MinReplicas = &none
	sleep(v2, image)
	require.Equal(t, 3, left())
	m.ensure(v2, image, 1)
	m.named(v2, ready)
	require.Equal(t, 3, b.times(), "the last that slept is kept")
	sleep(v1, image)
	require.Equal(t, 3, b.times(), "and the one before, to which others came back")
	require.Equal(t, 3, left())
	m.d.Oversleep()
	m.eventually(func() bool { return left() == 1 }, func() any { return left() })
}

func TestAServiceSleepsWhileWhatItReplacedIsKept(t *testing.T) {
	t.Parallel()
	b, none := &builder{dirs: map[string]bool{}}, 0
	m, v1, v2, s := open(t, process.Config{Build: b.build}), revision("v1"), revision("v2"), imaged()
	s.MinReplicas = &none
	m.ensure(v1, s, 1)
	m.named(v1, ready)
	m.ensure(v2, s, 1)
	m.named(v2, ready)
	m.sleep(v2)
	require.Equal(t, []string{"run-v1", "run-v2"}, m.prepared())
	m.ensure(v2, s, 1)
	m.named(v2, ready)
	require.Equal(t, 2, b.times(), "it wakes with what it has")
	m.sleep(v2)
	m.sleep(v1) // which is not kept any longer
	m.ensure(v2, s, 1)
	m.named(v2, ready)
	require.Equal(t, 2, b.times())
}

func TestWhatIsReplacedDoesNotSleep(t *testing.T) {
	t.Parallel()
	b, none := &builder{dirs: map[string]bool{}}, 0
	m, v1, v2, s := open(t, process.Config{Build: b.build}), revision("v1"), revision("v2"), imaged()
	s.MinReplicas = &none
	m.ensure(v1, s, 1)
	m.sleep(v1)
	m.ensure(v1, s, 1) // it wakes
	m.named(v1, ready)
	m.ensure(v2, s, 1)
	m.named(v2, ready)
	m.sleep(v1)
	require.Equal(t, []string{"run-v2"}, m.prepared())
}

func TestTheLastTwoThatSleptAreKept(t *testing.T) {
	t.Parallel()
	b, none := &builder{dirs: map[string]bool{}}, 0
	m, s := open(t, process.Config{Build: b.build}), imaged()
	s.MinReplicas = &none
	for _, version := range []string{"v1", "v2", "v3"} {
		m.ensure(revision(version), s, 1)
		m.sleep(revision(version))
	}
	require.Equal(t, []string{"run-v2", "run-v3"}, m.prepared())
}

// sleep stops the replica of a revision, and returns when all is deleted that
// nothing needs any more.
func (m *machine) sleep(id rollout.RevisionID) {
	m.Helper()
	r, stray := m.named(id, ready), filepath.Join(m.config.Dir, "builds", "zz-stray") // the last that is looked at
	require.NoError(m, os.MkdirAll(stray, 0o700))
	m.stop(r, 0)
	m.eventually(func() bool { _, err := os.Stat(stray); return os.IsNotExist(err) }, func() any { return stray })
}

// prepared are the names of what was built and unpacked.
func (m *machine) prepared() (names []string) {
	m.Helper()
	for _, pattern := range []string{"builds/*", "archives/" + strings.Repeat("?", 64)} {
		found, err := filepath.Glob(filepath.Join(m.config.Dir, pattern))
		require.NoError(m, err)
		for _, path := range found {
			names = append(names, filepath.Base(path))
		}
	}
	return names
}
