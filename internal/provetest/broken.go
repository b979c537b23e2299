package provetest

import (
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// Broken is an engine whose stores S break one promise. The zero Broken is
// sound.
type Broken[S any] struct {
	What    string // it does
	Caught  string // by the case of this name
	Wrap    func(S) S
	Again   func(first S) S                       // default: the same store
	Retain  func(events *int, age *time.Duration) // default: as asked
	Unnoted bool                                  // by random histories
}

// Harness is that of the engine, of stores that open opens with a limit on
// events: none by default.
func (b Broken[S]) Harness(open func(events int, age time.Duration) S) suitetest.Harness[S] {
	wrapped := func(events int, age time.Duration) S {
		if b.Wrap == nil {
			return open(events, age)
		}
		return b.Wrap(open(events, age))
	}
	return suitetest.Harness[S]{
		Open: func(testing.TB) S { return wrapped(0, 0) },
		Again: func(_ testing.TB, first S) S {
			if b.Again == nil {
				return first
			}
			return b.Again(first)
		},
		Retain: func(_ testing.TB, events int, age time.Duration) S {
			if b.Retain != nil {
				b.Retain(&events, &age)
			}
			return wrapped(events, age)
		},
	}
}

// Of are the mutants that break an engine, whose cases on each are those of
// this function. They share nothing and are tried at the same time, so no case
// may look at what the whole process has, such as its goroutines.
func Of[S any](broken []Broken[S], cases func(Broken[S]) []suitetest.Case) (mutants []Mutant) {
	for _, b := range broken {
		mutants = append(mutants, Mutant{What: b.What, Caught: b.Caught, Cases: cases(b), together: true})
	}
	return mutants
}

// Bad makes stores whose method, an F, is made of a sound store: with replaces
// it.
func Bad[S, F any](with func(sound S, method F) S) func(func(sound S) F) func(S) S {
	return func(method func(S) F) func(S) S {
		return func(sound S) S { return with(sound, method(sound)) }
	}
}

// Each changes the items of a list, which count from 1, or drops them.
func Each[T any](list iter.Seq2[T, error], keep func(n int, item *T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for item, err := range list {
			if err == nil {
				n++
				if !keep(n, &item) {
					continue
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// Once makes a list that can be read once.
func Once[T any](list iter.Seq2[T, error]) iter.Seq2[T, error] {
	read := false
	return func(yield func(T, error) bool) {
		if !read {
			read = true
			list(yield)
		}
	}
}

// Cut makes a list that ends without an error.
func Cut[T any](list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		list(func(item T, err error) bool { return err == nil && yield(item, nil) })
	}
}

// Counted counts who reads a list at the moment.
func Counted[T any](readers *atomic.Int64, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		readers.Add(1)
		defer readers.Add(-1)
		list(yield)
	}
}
