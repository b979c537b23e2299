package update

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"
)

// printPause is how long Print is silent between two lines about the progress
// of a step.
const printPause = 5 * time.Second

// Print writes what happens to a run, as Follow yields it, for a person at a
// terminal: a line when it begins, for each step that begins, fails or is
// undone, for what a step writes, for its progress each 5 seconds at most, with
// the percent of the whole run, when somebody cancels it or breaks its lock,
// when one process leaves it and another takes it up, when it turns back, and
// for its end. Characters that could act on a terminal are replaced. It returns
// the error of the events or of w.
func Print(w io.Writer, events iter.Seq2[Event, error]) error {
	var progress time.Time // of the last line about that
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.Kind == EventStep {
			progress = time.Time{}
		}
		if e.Kind == EventProgress && e.Step != "" {
			if e.Time.Sub(progress) < printPause {
				continue
			}
			progress = e.Time
		}
		for _, line := range e.lines() {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// lines are what a person wants to know of an event.
func (e Event) lines() []string {
	text, step := harmless(e.Message), harmless(e.Step)
	switch e.Kind {
	case EventStarted:
		return []string{also(text, harmless(e.Actor), " (asked for by ", ")")}
	case EventStep:
		switch e.Phase {
		case PhaseDoing:
			return []string{step}
		case PhaseFailed:
			return []string{also(step+" failed", text, ": ", "")}
		case PhaseUndone:
			return []string{step + " undone"}
		}
		return nil
	case EventProgress:
		if e.Step == "" {
			return []string{also("rolling back", text, ": ", "")}
		}
		return []string{fmt.Sprintf("%d%% %s%s", e.Percent, step, also("", text, ": ", ""))}
	case EventLog:
		var lines []string
		for line := range strings.Lines(e.Message) {
			lines = append(lines, step+"| "+harmless(overwritten(line)))
		}
		return lines
	case EventCancel:
		return []string{also("cancelled", e.by(), " ", "")}
	case EventBroken:
		return []string{also("lock broken", e.by(), " ", "")}
	case EventRecovered:
		return []string{also("taken up", text, ": ", "")}
	case EventStopped:
		return []string{also("left for the next process", text, ": ", "")}
	case EventEnded:
		return []string{also(strings.ReplaceAll(string(e.State), "_", " "), text, ": ", "")}
	case EventCorrupt:
		return []string{"an event that cannot be read"}
	}
	return nil
}

// by says who did it, and why.
func (e Event) by() string { return harmless(By{Actor: e.Actor, Reason: e.Message}.String()) }

// also adds to a text what is known besides.
func also(text, more, before, after string) string {
	if more == "" {
		return text
	}
	return text + before + more + after
}

// overwritten is what a terminal would show in the end of a line that was
// written over and over, as bars of progress are.
func overwritten(line string) string {
	line = strings.TrimRight(line, "\r\n")
	return cmp.Or(line[strings.LastIndexByte(line, '\r')+1:], line)
}

// harmless replaces what could act on a terminal, or hide something.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n':
			return ' '
		case unicode.IsGraphic(r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
