package storagetest

import (
	"errors"
	"iter"

	"github.com/upkeep-go/upkeep/storage"
)

// Fault stands between a caller and an engine. Op is the name of the method,
// such as "Acquire". Call makes the call; what Fault returns is what the
// caller gets. A Fault that does not call drops the request; one that calls
// and returns an error of its own drops the reply; one that sleeps delays
// either. A list, such as Watch, asks once, before its first pair.
type Fault func(op string, call func() error) error

// Faulty is an engine whose calls go through a Fault, which must be safe for
// concurrent use. Its Close does not.
type Faulty struct {
	storage.Backend
	fault Fault
}

// NewFaulty returns b behind a fault.
func NewFaulty(b storage.Backend, fault Fault) *Faulty { return &Faulty{b, fault} }

// through makes a call through a fault. An error of the fault's own comes
// without the result.
func through[T any](f *Faulty, op string, call func() (T, error)) (T, error) {
	var result, nothing T
	var returned error
	err := f.fault(op, func() error {
		result, returned = call()
		return returned
	})
	if err != nil && !errors.Is(err, returned) {
		return nothing, err
	}
	return result, err
}

// list asks a fault before a list begins.
func list[T any](f *Faulty, op string, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := f.fault(op, func() error { return nil }); err != nil {
			var nothing T
			yield(nothing, err)
			return
		}
		all(yield)
	}
}
