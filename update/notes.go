package update

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLog bounds the output of a step that waits for the next save, in bytes.
const maxLog = 16 << 10

// notes are events that wait for the next save.
type notes struct {
	step     string // under way, "" for none
	log      []byte // its output
	seen     int    // length of log when it was last looked at
	waited   bool   // nothing was added to log since
	progress *Event
	outcomes []Event // what was noted before log and progress
}

// age is called once a second: a line whose rest does not come goes without it.
func (n *notes) age() {
	n.waited, n.seen = n.seen == len(n.log), len(n.log)
}

// ready is how much of the log may go: whole lines, or the whole characters of
// one whose rest does not come.
func (n *notes) ready() int {
	if end := bytes.LastIndexByte(n.log, '\n') + 1; end > 0 || !n.waited {
		return end
	}
	return len(n.log) - len(partial(n.log))
}

func (n *notes) any() bool { return n.ready() > 0 || n.progress != nil || len(n.outcomes) > 0 }

// take returns the notes and leaves none, but for what may not go yet.
func (n *notes) take() notes {
	taken, ready := *n, n.ready()
	*n = notes{step: n.step, log: slices.Clone(n.log[ready:]), seen: len(n.log) - ready}
	taken.log = taken.log[:ready]
	return taken
}

// partial is the beginning of a character at the end of text, if there is one.
func partial(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				return nil
			}
			return text[i:]
		}
	}
	return nil
}

// output adds what the step wrote: of more than maxLog, the last.
func (n *notes) output(p []byte) {
	n.waited = false
	n.log = append(n.log, p...)
	extra := len(n.log) - maxLog
	if extra <= 0 {
		return
	}
	for extra < len(n.log) && !utf8.RuneStart(n.log[extra]) {
		extra++
	}
	n.log = slices.Delete(n.log, 0, extra)
}

// begin makes what follows that of a step.
func (n *notes) begin(step string) {
	n.settle()
	n.step = step
}

// settle makes all that the step said outcomes, since no more will come.
func (n *notes) settle() {
	n.outcomes = n.events()
	n.step, n.log, n.seen, n.waited, n.progress = "", nil, 0, false, nil
}

// putBack returns notes of a save that failed.
func (n *notes) putBack(old notes) {
	if n.step != old.step || len(n.outcomes) > 0 {
		n.outcomes = append(old.events(), n.outcomes...)
		return
	}
	n.outcomes = old.outcomes
	log := n.log
	n.log = old.log
	n.output(log)
	if n.progress == nil {
		n.progress = old.progress
	}
}

func (n *notes) events() []Event {
	all := slices.Clone(n.outcomes)
	if text := strings.TrimRight(string(n.log), "\r\n"); text != "" {
		all = append(all, Event{Kind: EventLog, Step: n.step, Message: cut(text, maxLog)})
	}
	if n.progress != nil {
		all = append(all, *n.progress)
	}
	return all
}
