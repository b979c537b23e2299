package rollout_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestPrintTellsAPersonOfARun(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		r.By = ann
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Hold: -1, Manual: true}, {Percent: 100, Hold: -1}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		var text strings.Builder
		require.NoError(t, rollout.Print(&text, c.Follow(t.Context(), run.ID)))
		require.Equal(t, strings.Join([]string{
			`version "v2" because (asked for by ann)`,
			"building",
			"provisioning",
			"5% v1 100 % with 1 replica, v2 0 % with 1 replica",
			"health wait",
			"shifting",
			"15% v1 90 % with 1 replica, v2 10 % with 1 replica",
			"analysing, step 0, v1 90 v2 10",
			"paused, step 0, v1 90 v2 10: the step waits for Resume or Promote",
			"wished: promote because (by ann)",
			"promoting",
			"85% v1 0 % with 1 replica, v2 100 % with 1 replica",
			"draining",
			"finalising",
			"succeeded, v2 100",
			"",
		}, "\n"), text.String())
	})
}

// events yields some, and then an error if there is one.
func events(err error, all ...rollout.Event) iter.Seq2[rollout.Event, error] {
	return func(yield func(rollout.Event, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(rollout.Event{}, err)
		}
	}
}

func TestPrintHasALineForWhatAPersonMustKnow(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	now := time.Now()
	require.NoError(t, rollout.Print(&text, events(nil,
		rollout.Event{Kind: rollout.EventProgress, Percent: 3, Message: "scaled", Time: now},
		rollout.Event{Kind: rollout.EventProgress, Percent: 4, Message: "scaled", Time: now.Add(4 * time.Second)},
		rollout.Event{Kind: rollout.EventMeasurement, Message: "traffic: fail 5 of 5 requests failed"},
		rollout.Event{Kind: rollout.EventState, State: rollout.StateRollingBack, Message: "traffic: fail"},
		rollout.Event{Kind: rollout.EventProgress, Percent: 5, Message: "v1 100 %", Time: now.Add(4 * time.Second)},
		rollout.Event{Kind: rollout.EventRecovered, Message: "left by the process a:1"},
		rollout.Event{Kind: rollout.EventEnded, State: rollout.StateRolledBack, Message: "traffic:\nfail"},
		rollout.Event{Kind: rollout.EventService, Service: web, Actor: "ann", Message: "requests wait "},
		rollout.Event{Kind: rollout.EventService, Service: web},
		rollout.Event{Kind: rollout.EventCorrupt},
	)))
	require.Equal(t, "3% scaled\ntraffic: fail 5 of 5 requests failed\nrolling back: traffic: fail\n5% v1 100 %\n"+
		"taken up: left by the process a:1\nrolled back: traffic: fail\nweb: requests wait (by ann)\nweb\n"+
		"an event that cannot be read\n", text.String())
}

func TestPrintReturnsTheErrorOfTheEventsOrTheWriter(t *testing.T) {
	t.Parallel()
	broken := errors.New("no more")
	ended := rollout.Event{Kind: rollout.EventEnded, State: rollout.StateSucceeded}
	require.ErrorIs(t, rollout.Print(io.Discard, events(broken, ended)), broken)
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(broken))
	require.ErrorIs(t, rollout.Print(writer, events(nil, ended)), broken)
}

func TestNothingThatIsPrintedActsOnATerminal(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\r\n\x07\xff\xc2\u202e\u2066\u0085"
	for _, kind := range []rollout.EventKind{
		rollout.EventStarted, rollout.EventState, rollout.EventProgress, rollout.EventMeasurement, rollout.EventLog, rollout.EventWish,
		rollout.EventRecovered, rollout.EventEnded, rollout.EventService, rollout.EventCorrupt, "another",
	} {
		for _, state := range []rollout.State{rollout.StateAnalysing, rollout.StateBuilding, rollout.State(evil)} {
			var text bytes.Buffer
			require.NoError(t, rollout.Print(&text, events(nil, rollout.Event{
				Kind: kind, State: state, Actor: evil, Message: evil, Time: time.Now(), Service: rollout.ServiceID{Env: evil, Name: evil},
				Split: rollout.Split{Weights: []rollout.Weight{{Version: evil, Percent: 100}}},
			})))
			for _, r := range strings.TrimSuffix(text.String(), "\n") {
				require.True(t, unicode.IsGraphic(r), "%q in a %s", r, kind)
			}
		}
	}
}

func TestASplitSaysItsShares(t *testing.T) {
	t.Parallel()
	s := rollout.Split{Weights: []rollout.Weight{{Version: "v1", Percent: 90}, {Version: "v0"}, {Version: "v2", Percent: 10}}}
	require.Equal(t, "v1 90 v2 10", s.String())
	require.Empty(t, rollout.Split{}.String())
}
