package firmwaretest

import (
	"github.com/stretchr/testify/require"
)

func (t *slotsTest) disarms() {
	t.install("2.0.0")
	t.activate("2.0.0", "run")
	require.NoError(t, t.slots.Confirm(t.Context()))
	for range 2 {
		t.restart()
		t.runs("1.0.0", true)
		require.Equal(t, 0, t.pair().Other.Tries)
	}
}

func (t *slotsTest) revert() {
	t.update("2.0.0", "run")
	require.NoError(t, t.slots.Confirm(t.Context()))
	for range 2 {
		require.NoError(t, t.slots.Revert(t.Context()))
		require.False(t, t.pair().Confirmed)
	}
	for range 2 {
		t.restart()
		t.runs("1.0.0", true)
	}
	require.NoError(t, t.slots.Revert(t.Context())) // and forth
	t.restart()
	t.runs("2.0.0", true)
}

func (t *slotsTest) revertTrial() {
	t.update("2.0.0", "run")
	require.NoError(t, t.slots.Revert(t.Context()))
	t.runs("2.0.0", false)
	for range 2 {
		t.restart()
		t.runs("1.0.0", true)
	}
	require.Equal(t, "run", t.pair().Other.Run)
	t.activate("2.0.0", "run")
	t.restart()
	t.runs("1.0.0", true)
}

func (t *slotsTest) revertRefused() {
	t.update("2.0.0", "run")
	require.NoError(t, t.slots.Confirm(t.Context()))
	t.install("3.0.0") // not activated
	before := t.pair()
	t.refusedBack()
	require.Equal(t, before, t.pair())
	t.restart()
	t.runs("2.0.0", true)
}

func (t *slotsTest) revertBad() {
	t.update("2.0.0", "run")
	t.restart() // it did not stay
	t.refusedBack()
	require.NoError(t, t.slots.Confirm(t.Context()))
	t.refusedBack()
	t.restart()
	t.runs("1.0.0", true)
	t.install("3.0.0")
	t.activate("3.0.0", "run 3")
	t.refusedBack() // it was not started
	t.restart()
	t.runs("3.0.0", false)
}

func (t *slotsTest) changesMind() {
	t.update("2.0.0", "run")
	require.NoError(t, t.slots.Revert(t.Context()))
	require.NoError(t, t.slots.Confirm(t.Context()))
	t.restart()
	t.runs("2.0.0", true)
}

func (t *slotsTest) base() {
	t.runs("1.0.0", true)
	t.install("2.0.0")
	t.runs("1.0.0", true)
	t.activate("2.0.0", "run")
	t.restart()
	t.runs("2.0.0", false)
}

func (t *slotsTest) many() {
	versions := []string{"2.0.0", "3.0.0", "4.0.0", "5.0.0"}
	for i, v := range versions {
		t.update(v, "run "+v)
		require.NoError(t, t.slots.Confirm(t.Context()))
		t.runs(v, true)
		if i > 0 {
			require.Equal(t, versions[i-1], t.pair().Other.Version)
		}
	}
	require.NoError(t, t.slots.Revert(t.Context()))
	t.restart()
	t.runs("4.0.0", true)
}
