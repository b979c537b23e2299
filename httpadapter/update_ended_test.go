package httpadapter_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

func TestProgressIsIdleOnceARunIsToldToHaveEnded(t *testing.T) {
	for range 20 {
		s := (&site{install: func(context.Context, *update.Task) error { return nil }}).open(t)
		run, err := s.updater.Start(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		for e, err := range s.updater.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if e.Run == run.ID && e.Kind == update.EventEnded {
				break
			}
		}
		for _, item := range []string{"core", pkg} {
			r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`","itemId":"`+item+`"}`)
			require.EqualValues(t, 0, r.json(t)["progress"], item)
		}
		require.Equal(t, "succeeded", s.get(runs + "/" + run.ID).json(t)["state"])
	}
}

func TestARunShowsStepsThatThePackageHasNoMore(t *testing.T) {
	s := new(site).open(t)
	_, err := s.db.Journal().Create(t.Context(), update.Run{
		ID: "old", Package: pkg, Item: update.DefaultLock, State: update.StateFailed,
		Steps: []update.StepRecord{
			{Name: "fetch", Phase: update.PhaseDone, Attempt: 1, Weight: 3, NoUndo: true},
			{Name: "swap", Phase: update.PhaseFailed, Attempt: 2, Weight: 1, Final: true},
		},
	}, update.Event{Kind: update.EventStep, Step: "fetch", Phase: update.PhaseDone})
	require.NoError(t, err)
	r := s.get(runs + "/old")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, []any{
		map[string]any{"name": "fetch", "phase": "done", "attempt": 1.0},
		map[string]any{"name": "swap", "phase": "failed", "attempt": 2.0},
	}, r.json(t)["steps"])
}

func TestOfManyWhoAskForWhatIsInstalledNoneIsToldThatAnUpdateRuns(t *testing.T) {
	s := new(site).open(t)
	_, err := s.updater.Update(t.Context(), update.Request{Package: pkg})
	require.NoError(t, err)
	said := make([]string, 50)
	var all sync.WaitGroup
	for i := range said {
		all.Go(func() {
			said[i] = s.send("POST", "/api/v1/update", updateBody(admin)).text
		})
	}
	all.Wait()
	for _, text := range said {
		require.Contains(t, text, "Successfully updated")
	}
}
