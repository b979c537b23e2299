package update

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/upkeep-go/upkeep/internal/printing"
)

// Print writes what happens to a run, as Follow yields it, for a person at a
// terminal: a line when it begins, for each step that begins, fails or is
// undone, for what a step writes, for its progress each 5 seconds at most, with
// the percent of the whole run, when somebody cancels it or breaks its lock,
// when one process leaves it and another takes it up, when it turns back, and
// for its end. Characters that could act on a terminal are replaced. It returns
// the error of the events or of w.
func Print(w io.Writer, events iter.Seq2[Event, error]) error {
	return printing.Print(w, events, func(e Event) printing.Shown {
		shown := printing.Shown{Lines: e.lines(), Fresh: e.Kind == EventStep}
		if e.Kind == EventProgress && e.Step != "" {
			shown.Progress = e.Time
		}
		return shown
	})
}

// lines are what a person wants to know of an event.
func (e Event) lines() []string {
	text, step := printing.Harmless(e.Message), printing.Harmless(e.Step)
	switch e.Kind {
	case EventStarted:
		return []string{printing.Also(text, printing.Harmless(e.Actor), " (asked for by ", ")")}
	case EventStep:
		switch e.Phase {
		case PhaseDoing:
			return []string{step}
		case PhaseFailed:
			return []string{printing.Also(step+" failed", text, ": ", "")}
		case PhaseUndone:
			return []string{step + " undone"}
		}
		return nil
	case EventProgress:
		if e.Step == "" {
			return []string{printing.Also("rolling back", text, ": ", "")}
		}
		return []string{fmt.Sprintf("%d%% %s%s", e.Percent, step, printing.Also("", text, ": ", ""))}
	case EventLog:
		var lines []string
		for line := range strings.Lines(e.Message) {
			lines = append(lines, step+"| "+printing.Harmless(overwritten(line)))
		}
		return lines
	case EventCancel:
		return []string{printing.Also("cancelled", e.by(), " ", "")}
	case EventBroken:
		return []string{printing.Also("lock broken", e.by(), " ", "")}
	case EventRecovered:
		return []string{printing.Also("taken up", text, ": ", "")}
	case EventStopped:
		return []string{printing.Also("left for the next process", text, ": ", "")}
	case EventEnded:
		return []string{printing.Also(strings.ReplaceAll(string(e.State), "_", " "), text, ": ", "")}
	case EventCorrupt:
		return []string{"an event that cannot be read"}
	}
	return nil
}

// by says who did it, and why.
func (e Event) by() string { return printing.Harmless(By{Actor: e.Actor, Reason: e.Message}.String()) }

// overwritten is what a terminal would show in the end of a line that was
// written over and over, as bars of progress are.
func overwritten(line string) string {
	line = strings.TrimRight(line, "\r\n")
	return cmp.Or(line[strings.LastIndexByte(line, '\r')+1:], line)
}
