package update_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestPrintTellsAPersonOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := update.Step{Name: "copy", Undo: nothing, Do: func(ctx context.Context, task *update.Task) error {
			for i := range 13 {
				task.Progress(int64(i), 13, fmt.Sprint("file ", i))
				time.Sleep(time.Second + time.Millisecond)
			}
			fmt.Fprint(task.Output(), "first\r\n10%\r90%\r\n\x1b[2Jwiped\n")
			return task.Save(ctx, 1)
		}}
		u := newUpdater(t, app(slow, update.Step{Name: "check", Do: fails("two\nlines")}))
		run, err := u.Start(t.Context(), update.Request{Package: "app", By: update.By{Actor: "ann", Reason: "it is time"}})
		require.NoError(t, err)
		var text bytes.Buffer
		require.NoError(t, update.Print(&text, u.Follow(t.Context(), run.ID)))
		require.Equal(t, strings.Join([]string{
			`bring app from "" to 1.0.0: it is time (asked for by ann)`,
			"copy",
			"0% copy: file 0",
			"19% copy: file 5",
			"38% copy: file 10",
			"copy| first",
			"copy| 90%",
			"copy| \uFFFD[2Jwiped",
			"check",
			"check failed: two lines",
			`rolling back: step "check": two lines`,
			"copy undone",
			`rolled back: step "check": two lines`,
			"",
		}, "\n"), text.String())
	})
}

func TestPrintTellsOfCancelsAndRecoveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		s := update.Step{Name: "s", Do: minute, Undo: nothing}
		u := newUpdaterOn(t, state, app(s))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, u.Close())
		next := newUpdaterOn(t, state, app(s))
		go func() { _ = next.Run(t.Context()) }()
		synctest.Wait()
		require.NoError(t, next.Cancel(t.Context(), run.ID, ann))
		var text strings.Builder
		require.NoError(t, update.Print(&text, next.Follow(t.Context(), run.ID)))
		for _, line := range []string{
			"left for the next process: the process ", "taken up: the process ", "cancelled by ann: wrong release\n",
			"rolling back: by ann: wrong release\n", "\ncancelled: by ann: wrong release\n",
		} {
			require.Contains(t, text.String(), line)
		}
	})
}

// one yields an event and then, if there is one, an error.
func one(e update.Event, err error) iter.Seq2[update.Event, error] {
	return func(yield func(update.Event, error) bool) {
		if yield(e, nil) && err != nil {
			yield(update.Event{}, err)
		}
	}
}

func TestPrintReturnsTheErrorOfTheEventsOrTheWriter(t *testing.T) {
	broken := errors.New("no more")
	ended := update.Event{Kind: update.EventEnded, State: update.StateSucceeded}
	require.ErrorIs(t, update.Print(io.Discard, one(ended, broken)), broken)
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(broken))
	require.ErrorIs(t, update.Print(writer, one(ended, nil)), broken)
}

func TestNothingThatIsPrintedActsOnATerminal(t *testing.T) {
	var all strings.Builder
	for r := rune(0); r < 0x3000; r++ {
		all.WriteRune(r)
	}
	evil := all.String() + "\xff\xc2\u202e\u2066"
	for _, kind := range []update.EventKind{
		update.EventStarted, update.EventStep, update.EventProgress, update.EventLog, update.EventCancel, update.EventBroken,
		update.EventRecovered, update.EventStopped, update.EventEnded, update.EventCorrupt,
	} {
		for _, phase := range []update.Phase{update.PhaseDoing, update.PhaseFailed, update.PhaseUndone, update.PhaseDone} {
			var text strings.Builder
			e := update.Event{Kind: kind, Phase: phase, Step: evil, Actor: evil, Message: evil, State: update.StateFailed, Time: time.Now()}
			require.NoError(t, update.Print(&text, one(e, nil)))
			for _, r := range text.String() {
				require.True(t, r == '\n' || unicode.IsGraphic(r), "%q in a %s", r, kind)
			}
			require.LessOrEqual(t, strings.Count(text.String(), "\n"), 2)
		}
	}
}

func TestPrintHasALineForWhatAPersonMustKnow(t *testing.T) {
	var text strings.Builder
	now := time.Now()
	require.NoError(t, update.Print(&text, func(yield func(update.Event, error) bool) {
		for _, e := range []update.Event{
			{Kind: update.EventProgress, Step: "s", Percent: 3, Message: "a\tb", Time: now},
			{Kind: update.EventProgress, Step: "s", Percent: 4, Time: now.Add(4 * time.Second)},
			{Kind: update.EventProgress, Message: "no room", Time: now.Add(4 * time.Second)},
			{Kind: update.EventBroken, Actor: "ann", Message: "it hangs"},
			{Kind: update.EventCancel},
			{Kind: update.EventLog, Step: "s", Message: "no end of line"},
			{Kind: update.EventSaved, Step: "s"},
			{Kind: update.EventCorrupt},
		} {
			if !yield(e, nil) {
				return
			}
		}
	}))
	require.Equal(t, "3% s: a b\nrolling back: no room\nlock broken by ann: it hangs\ncancelled\ns| no end of line\n"+
		"an event that cannot be read\n", text.String())
}
