package rollout

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/upkeep-go/upkeep/internal/printing"
)

// Print writes what happens to a run, as Follow yields it, for a person at a
// terminal: a line when it begins, for each state and step with the shares of
// the versions, for shares, replicas and hooks each 5 seconds at most, for what
// is measured, when somebody wishes something, when another process takes it
// up, and for its end. Of Watch it writes changes of services too. Characters
// that could act on a terminal are replaced. It returns the error of the events
// or of w.
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
	text, actor := strings.TrimSpace(printing.Harmless(e.Message)), printing.Harmless(e.Actor)
	switch e.Kind {
	case EventStarted:
		return printing.Also(text, actor, " (asked for by ", ")")
	case EventState:
		return printing.Also(e.doing(), text, ": ", "")
	case EventProgress:
		return fmt.Sprintf("%d%% %s", e.Percent, text)
	case EventMeasurement, EventLog:
		return text
	case EventWish:
		return printing.Also("wished: "+text, actor, " (by ", ")")
	case EventRecovered:
		return printing.Also("taken up", text, ": ", "")
	case EventEnded:
		return printing.Also(printing.Also(words(e.State), printing.Harmless(e.Split.String()), ", ", ""), text, ": ", "")
	case EventService:
		text = printing.Also(printing.Harmless(e.Service.String()), text, ": ", "")
		return printing.Also(text, actor, " (by ", ")")
	case EventCorrupt:
		return "an event that cannot be read"
	}
	return ""
}

// doing says which state the run is in, and which step with which shares where
// the traffic has come to rest.
func (e Event) doing() string {
	switch e.State {
	case StateAnalysing, StatePaused:
		return printing.Also(fmt.Sprintf("%s, step %d", words(e.State), e.Step), printing.Harmless(e.Split.String()), ", ", "")
	}
	return words(e.State)
}

func words(s State) string { return strings.ReplaceAll(printing.Harmless(string(s)), "_", " ") }

// String returns the shares of the versions in words, such as "v1 90 v2 10".
// What has no share is left out.
func (s Split) String() string {
	var words []string
	for _, w := range s.Weights {
		if w.Percent != 0 {
			words = append(words, fmt.Sprintf("%s %d", w.Version, w.Percent))
		}
	}
	return strings.Join(words, " ")
}
