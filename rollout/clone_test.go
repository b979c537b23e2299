package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/rollout"
)

func TestACloneIsEqualAndSharesNothing(t *testing.T) {
	t.Run("run", func(t *testing.T) { requireClone(t, rollout.Run.Clone) })
	t.Run("service", func(t *testing.T) { requireClone(t, rollout.Service.Clone) })
	t.Run("transition", func(t *testing.T) { requireClone(t, rollout.Transition.Clone) })
	t.Run("event", func(t *testing.T) { requireClone(t, rollout.Event.Clone) })
	t.Run("instance", func(t *testing.T) { requireClone(t, rollout.Instance.Clone) })
}

func requireClone[T any](t *testing.T, clone func(T) T) {
	v := filltest.New[T]()
	require.Equal(t, v, clone(v))
	copied := clone(v)
	filltest.Scribble(v)
	require.Equal(t, filltest.New[T](), copied, "it shares something")
	var none T
	require.Equal(t, none, clone(none))
}
