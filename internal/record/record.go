// Package record writes to a record that others write to as well, one
// compare-and-set after the other. It finds out why a write was refused or had
// no answer: it was made and the reply was lost; somebody else was faster, with a
// wish perhaps; or whoever writes has been overtaken and may not any more.
package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

var (
	// ErrSame is what a change returns that has nothing to write.
	ErrSame = errors.New("record: nothing to write")
	// ErrUnwritten reports a store that failed for some seconds. Nobody knows
	// whether it has written.
	ErrUnwritten = errors.New("record: not written")
)

// Store is where a record R is kept, and written with events E. How others are
// heard is the change's business, which sees what they have written, and so is
// a token of a lease that has gone on.
type Store[R, E any] struct {
	Load func(context.Context) (R, error)
	// Save writes a record that was loaded and changed, and returns it as it is
	// stored. It returns Stale when somebody else has written since it was loaded,
	// or with a greater token than it has.
	Save  func(context.Context, R, ...E) (R, error)
	Rev   func(R) int64             // greater after each Save
	Same  func(stored, sent R) bool // stored is what one Save has made of sent, which has the Rev of before
	Stale error
	Final []error // of Load and Save: another try would meet them again
}

// Amend writes the record as change makes it of what is stored, with the events
// that change returns. As often as somebody else has written meanwhile it asks
// change again, with the record as it is then. Nothing is written twice, though
// replies are lost. Who wrote last gives the record that it knows, which spares
// loading it; else it is nil. An error of change is returned as it is, with the
// record, but for ErrSame, which is none. Any other is the cause of ctx, Stale
// if the record's token is not the greatest, one of Final, or ErrUnwritten.
func (s *Store[R, E]) Amend(ctx context.Context, known *R, change func(*R) ([]E, error)) (rec R, err error) {
	var sent *R // by the last try: it was refused with stale, or nobody knows what became of it
	var stale, refusal error
	err = s.Try(ctx, func(ctx context.Context) (err error) {
		for {
			if known != nil {
				rec, known = *known, nil
			} else if rec, err = s.Load(ctx); err != nil {
				return err
			}
			if sent != nil && s.Same(rec, *sent) {
				return nil
			}
			if stale != nil && s.Rev(rec) == s.Rev(*sent) {
				return stale
			}
			var events []E
			if events, refusal = change(&rec); refusal != nil {
				return nil
			}
			tried := rec
			sent = &tried
			rec, err = s.Save(ctx, tried, events...)
			if stale = nil; !errors.Is(err, s.Stale) {
				return err
			}
			stale = err
		}
	})
	if refusal != nil && !errors.Is(refusal, ErrSame) {
		err = refusal
	}
	return rec, err
}

// Try calls f, which writes something, until it succeeds, has failed for good,
// with Stale or one of Final, or for some seconds: the network comes back, and a
// full disk may.
func (s *Store[R, E]) Try(ctx context.Context, f func(context.Context) error) error {
	final := append([]error{s.Stale}, s.Final...)
	for wait := 10 * time.Millisecond; ; wait *= 3 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := f(ctx)
		switch {
		case err == nil, slices.ContainsFunc(final, func(f error) bool { return errors.Is(err, f) }):
			return err
		case wait > 3*time.Second:
			return fmt.Errorf("%w: %w", ErrUnwritten, err)
		}
		if err := pause.For(ctx, wait); err != nil {
			return err
		}
	}
}
