package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestAPlanSaysWhatASyncDoes(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	for path, content := range map[string]string{"both": "1", "gone/here": "2", "gone/there": "3", "moved": "4", "left": "5", "edited": "6"} {
		a.disk.write(path, content)
	}
	w.must(a)
	w.must(b)
	a.disk.write("both", "ours")
	a.disk.remove("gone/here")
	a.disk.rename("moved", "elsewhere")
	a.disk.write("new", "of a")
	b.disk.write("both", "theirs")
	b.disk.remove("gone/there")
	b.disk.rename("left", "right")
	b.disk.write("edited", "of b")
	w.must(b)

	p := new(process)
	before, notes, puts := a.disk.String(), len(a.notes), w.cloud.puts
	plan, err := w.engine(a, p, false).Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	var words []string
	for _, action := range plan.Actions {
		words = append(words, action.String())
	}
	require.Equal(t, []string{
		"download both (6 bytes)",
		"conflict both to both (conflict 50d7f3cf) (4 bytes)",
		"download edited (4 bytes)",
		"rename_remote moved to elsewhere (1 byte)",
		"delete_remote gone/here (1 byte)",
		"delete_local gone/there (1 byte)",
		"upload new (4 bytes)",
		"rename_local left to right (1 byte)",
	}, words)
	require.Empty(t, plan.Guard)
	require.Equal(t, before, a.disk.String())
	require.Equal(t, puts, w.cloud.puts)
	require.Len(t, a.notes, notes)
	again, err := w.engine(a, p, false).Plan(t.Context(), cloudsync.Request{})
	require.NoError(t, err)
	require.Equal(t, plan, again)

	r, err := w.sync(a, p, cloudsync.Request{Plan: plan.ID})
	require.NoError(t, err)
	require.True(t, r.Committed)
	_, err = w.sync(a, p, cloudsync.Request{Plan: plan.ID})
	require.ErrorIs(t, err, cloudsync.ErrStale)
}

func TestAPushAndAPullTakeOneSide(t *testing.T) {
	for mode, want := range map[cloudsync.Mode]string{
		cloudsync.ModeForcePush: "both=ours kept=1 mine=1",
		cloudsync.ModeForcePull: "both=theirs kept=1 theirs=1",
	} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		a.disk.write("both", "1")
		a.disk.write("kept", "1")
		w.must(a)
		w.must(b)
		a.disk.write("both", "ours")
		a.disk.write("mine", "1")
		b.disk.write("both", "theirs")
		b.disk.write("theirs", "1")
		w.must(b)
		_, err := w.sync(a, new(process), cloudsync.Request{Mode: mode})
		require.NoError(t, err)
		require.Equal(t, want, a.disk.String(), mode)
		w.settle()
		w.equal()
		require.Equal(t, want, b.disk.String(), mode)
	}
}

func TestAFreshSyncDeletesNothing(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("one", "1")
	a.disk.write("two", "2")
	w.must(a)
	w.must(b)
	w.cloud.objects, w.cloud.content = newCloud().objects, newCloud().content // it was lost
	_, err := w.sync(a, new(process), cloudsync.Request{})
	require.ErrorIs(t, err, cloudsync.ErrForked)
	b.disk.remove("two")
	b.disk.write("three", "3")
	for _, d := range w.devices {
		_, err = w.sync(d, new(process), cloudsync.Request{Fresh: true})
		require.NoError(t, err)
	}
	w.settle()
	w.equal()
	require.Equal(t, "one=1 three=3 two=2", a.disk.String())
}
