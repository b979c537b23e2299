// Package printing writes events for a person at a terminal.
package printing

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"
)

// Pause is how long Print is silent between two events about progress.
const Pause = 5 * time.Second

// Shown is what a person sees of an event.
type Shown struct {
	Lines []string
	// Progress is the time of an event that is only about how far something has
	// come, of which one each Pause is shown; zero for any other.
	Progress time.Time
	Fresh    bool // something begins, of which the first progress is shown at once
}

// Print writes what is shown of the events, until they end. It returns their
// error, or that of w.
func Print[E any](w io.Writer, events iter.Seq2[E, error], show func(E) Shown) error {
	var progress time.Time // of the last that was shown
	for e, err := range events {
		if err != nil {
			return err
		}
		s := show(e)
		if s.Fresh {
			progress = time.Time{}
		}
		if !s.Progress.IsZero() {
			if s.Progress.Sub(progress) < Pause {
				continue
			}
			progress = s.Progress
		}
		for _, line := range s.Lines {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// Also adds to a text what is known besides, if anything is.
func Also(text, more, before, after string) string {
	if more == "" {
		return text
	}
	return text + before + more + after
}

// Harmless replaces what could act on a terminal, or hide something.
func Harmless(text string) string {
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
