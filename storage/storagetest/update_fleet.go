package storagetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// fleetTakesTurns updates programs that share an engine's state, and its lock,
// but each have an installation of their own.
func fleetTakesTurns(t testing.TB, h Harness) {
	const programs = 4
	first := h.open(t)
	var atOnce atomic.Int64
	swap := update.Step{Name: "swap", Do: func(ctx context.Context, _ *update.Task) error {
		defer atOnce.Add(-1)
		if atOnce.Add(1) > 1 {
			return errors.New("somebody else is at it too")
		}
		time.Sleep(20 * time.Millisecond)
		return nil
	}}
	updaters := make([]*update.Updater, programs)
	for i := range updaters {
		b := first
		if i > 0 {
			b = closing(t, h.Again(t, first))
		}
		updaters[i] = programOf(t, b, i, swap)
	}
	results := make(chan error, programs)
	for i, u := range updaters {
		go func() {
			_, err := u.Update(t.Context(), update.Request{Package: u.Packages()[0], Wait: true, By: update.By{Actor: fmt.Sprint(i)}})
			results <- err
		}()
	}
	for range programs {
		require.NoError(t, <-results, "programs of a fleet update one at a time")
	}
	for _, u := range updaters {
		status, err := u.Status(t.Context(), u.Packages()[0])
		require.NoError(t, err)
		require.Equal(t, "1.0.0", status.Version)
		runs := 0
		for run, err := range u.History(t.Context(), update.Query{}) {
			require.NoError(t, err)
			require.Equal(t, update.StateSucceeded, run.State)
			runs++
		}
		require.Equal(t, programs, runs, "each program has its own target, and sees the others'")
	}
}

func programOf(t testing.TB, b storage.Backend, i int, steps ...update.Step) *update.Updater {
	t.Helper()
	u, err := update.New(update.Config{
		Store: b, Owner: fmt.Sprint("program ", i), Logger: slog.New(slog.DiscardHandler),
		Packages: []update.Package{{Name: fmt.Sprint("demo/app@", i), Source: source.Static("1.0.0"), Steps: steps}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, u.Close()) })
	return u
}
