package firmware

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/upkeep-go/upkeep/internal/printing"
)

// Print writes what happens to a run, as Follow yields it, for a person at a
// terminal: a line when it begins, for each thing that the device does, for how
// much is in the slot each 5 seconds at most, when the feed is to be asked again
// or does not have what it should, when the run waits and for what, when somebody
// cancels or applies it, when another process takes it up, and for its end. Of
// Watch it writes checks and changes of settings too. Characters that could act
// on a terminal are replaced. It returns the error of the events or of w.
func Print(w io.Writer, events iter.Seq2[Event, error]) error {
	return printing.Print(w, events, func(e Event) printing.Shown {
		shown := printing.Shown{Fresh: e.Kind == EventState}
		if line := e.line(); line != "" {
			shown.Lines = []string{line}
		}
		if e.Kind == EventProgress {
			shown.Progress = e.Time
		}
		return shown
	})
}

// line is what a person wants to know of an event, or "".
func (e Event) line() string {
	text := strings.TrimSpace(printing.Harmless(e.Message))
	switch e.Kind {
	case EventStarted:
		return printing.Also(text, printing.Harmless(e.Actor), " (asked for by ", ")")
	case EventState:
		return printing.Also(e.doing(), text, ": ", "")
	case EventProgress:
		return fmt.Sprintf("%d%%", e.Percent)
	case EventRetry, EventLog:
		return text
	case EventCancel:
		return printing.Also("cancelled", e.by(), " ", "")
	case EventApply:
		return printing.Also("applied", e.by(), " ", "")
	case EventRecovered:
		return printing.Also("taken up", text, ": ", "")
	case EventEnded:
		return printing.Also(words(string(e.State)), text, ": ", "")
	case EventChecked:
		return printing.Also("checked", text, ": ", "")
	case EventConfigured:
		return printing.Also("configured", e.by(), " ", "")
	case EventCorrupt:
		return "an event that cannot be read"
	}
	return ""
}

// doing is what the device does on a run, or what it waits for.
func (e Event) doing() string {
	switch {
	case e.State == StateTrial:
		return "on trial"
	case e.State == StateRunning, e.State == "":
		return words(string(e.Device))
	}
	return words(string(e.State))
}

// by says who did it, and why.
func (e Event) by() string {
	return printing.Harmless(By{Actor: e.Actor, Reason: e.Message}.String())
}

// words are those of a name.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
