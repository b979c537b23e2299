//go:build linux

package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestAServiceThatSleepsWakesWithWhatItHas(t *testing.T) {
	t.Parallel()
	b, a := &builder{dirs: map[string]bool{}}, offering(t, map[string]string{"bin/web": web, "page": "a page\n"})
	m, v1, v2, none := open(t, process.Config{Build: b.build}), revision("v1"), revision("v2"), 0
	image := spec("passed")
	image.Command, image.Image, image.MinReplicas = nil, &rollout.Image{Repository: "registry.example/shop"}, &none
	image.Environment["PROGRAM"] = os.Args[0]
	blog := rollout.RevisionID{Service: rollout.ServiceID{Name: "blog"}, Version: "v1", Run: "run-blog"}
	archived := a.spec()
	archived.MinReplicas = &none
	left := func() int {
		n := 0
		for _, pattern := range []string{"builds/*", "archives/????????????????????????????????????????????????????????????????"} {
			found, err := filepath.Glob(filepath.Join(m.config.Dir, pattern))
			require.NoError(t, err)
			n += len(found)
		}
		return n
	}
	sleep := func(id rollout.RevisionID, s rollout.Spec) {
		stray := filepath.Join(m.config.Dir, "builds", "stray")
		m.ensure(id, s, 1)
		r := m.named(id, ready)
		require.NoError(t, os.MkdirAll(stray, 0o700))
		m.stop(r, 0)
		m.eventually(func() bool { _, err := os.Stat(stray); return os.IsNotExist(err) }, func() any { return stray })
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
	require.Equal(t, 2, left())
	m.ensure(v2, image, 1)
	m.named(v2, ready)
	require.Equal(t, 3, b.times(), "the last that slept is kept")
	sleep(v1, image)
	require.Equal(t, 2, left(), "what goes while another serves is replaced")
	m.d.Oversleep()
	m.eventually(func() bool { return left() == 1 }, func() any { return left() })
}
