package firmware_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestPrintTellsAPersonOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 20*segment))
		d.config.Rate = func() int64 { return segment }
		var shut atomic.Bool
		shut.Store(true)
		d.config.Gate = holds(firmware.StepInstall, &shut)
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{By: firmware.By{Actor: "ann", Reason: "it is\ntime"}})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, fw.Apply(ctx, run.ID, ann))
		_, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		fw = d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		var text bytes.Buffer
		require.NoError(t, firmware.Print(&text, fw.Follow(ctx, run.ID)))
		require.Equal(t, strings.Join([]string{
			`from "1.2.0" to "1.3.0" it is time (asked for by ann)`,
			"pulling",
			"15%",
			"45%",
			"75%",
			"100%",
			"verifying",
			"waiting: somebody is looking",
			"applied by ann: wanted",
			"verifying",
			"uploading: install",
			"restarting",
			"on trial: the new image runs",
			"succeeded",
			"",
		}, "\n"), text.String())
	})
}

// oneEvent yields an event and then, if there is one, an error.
func oneEvent(e firmware.Event, err error) iter.Seq2[firmware.Event, error] {
	return func(yield func(firmware.Event, error) bool) {
		if yield(e, nil) && err != nil {
			yield(firmware.Event{}, err)
		}
	}
}

func TestPrintReturnsTheErrorOfTheEventsOrTheWriter(t *testing.T) {
	broken := errors.New("no more")
	ended := firmware.Event{Kind: firmware.EventEnded, State: firmware.StateSucceeded}
	require.ErrorIs(t, firmware.Print(io.Discard, oneEvent(ended, broken)), broken)
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(broken))
	require.ErrorIs(t, firmware.Print(writer, oneEvent(ended, nil)), broken)
}

func TestPrintHasOneHarmlessLineForEachKindOfEvent(t *testing.T) {
	const evil = "\x1b[2J\r\n\u202e\xff"
	for kind, want := range map[firmware.EventKind]string{
		firmware.EventStarted: "(asked for by ", firmware.EventState: "rolling back: ", firmware.EventProgress: "7%",
		firmware.EventRetry: "[2J", firmware.EventLog: "[2J", firmware.EventCancel: "cancelled by ", firmware.EventApply: "applied by ",
		firmware.EventRecovered: "taken up: ", firmware.EventEnded: "rolling back: ", firmware.EventChecked: "checked: ",
		firmware.EventConfigured: "configured by ", firmware.EventCorrupt: "an event that cannot be read",
	} {
		var text strings.Builder
		e := firmware.Event{Kind: kind, Actor: evil, Message: evil, State: firmware.StateRollingBack, Percent: 7, Time: time.Now()}
		require.NoError(t, firmware.Print(&text, oneEvent(e, nil)))
		require.Contains(t, text.String(), want)
		line, last := strings.CutSuffix(text.String(), "\n")
		require.True(t, last)
		for _, r := range line {
			require.True(t, unicode.IsGraphic(r), "%q in a %s", r, kind)
		}
	}
}
