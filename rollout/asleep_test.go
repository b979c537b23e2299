package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNothingIsStoppedThatHasSomethingOpen(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		r := request("v1")
		r.Spec.MinReplicas = new(0)
		w.rolls(c, r)
		flying := func(n int) {
			w.router.mu.Lock()
			defer w.router.mu.Unlock()
			w.router.flying = n
		}
		flying(1) // a tunnel, of which nothing is counted before it ends
		time.Sleep(time.Hour)
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
		flying(0)
		time.Sleep(4 * time.Minute)
		ready, _ = w.fleet.count("v1")
		require.Equal(t, 1, ready, "it is idle from then on")
		time.Sleep(2 * time.Minute)
		_, all := w.fleet.count("v1")
		require.Zero(t, all)
	})
}
