// Package cause keeps in a record, by its name, which error ended something, so
// that it is the same error after a restart.
package cause

import "errors"

// Names are the errors that a domain knows, the more special one first.
type Names []struct {
	Name string
	Err  error
}

// Of names an error, or is "".
func (n Names) Of(err error) string {
	for _, c := range n {
		if errors.Is(err, c.Err) {
			return c.Name
		}
	}
	return ""
}

// Err is the error that a record tells of: it is outcome, which may be nil, and
// the error of that name, and has the text that was kept.
func (n Names) Err(outcome error, name, text string) error {
	for _, c := range n {
		if c.Name == name {
			return &kept{outcome: outcome, cause: c.Err, text: text}
		}
	}
	return &kept{outcome: outcome, text: text}
}

type kept struct {
	outcome, cause error
	text           string
}

func (e *kept) Error() string {
	if e.outcome == nil {
		return e.text
	}
	return e.outcome.Error() + ": " + e.text
}

func (e *kept) Unwrap() []error {
	var all []error
	for _, err := range []error{e.outcome, e.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}
