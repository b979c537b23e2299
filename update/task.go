package update

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/upkeep-go/upkeep/lease"
)

// maxData bounds what a step may keep, in bytes of JSON.
const maxData = 1 << 20

// Task is what a step may know and say. The zero Task, with the fields a step
// needs, serves the tests of a step: it keeps in memory what Save is given.
type Task struct {
	// Run is the run as it was when the step began, without its Steps. Its
	// Token guards effects elsewhere.
	Run     Run
	Release Release // what is to be installed
	// Log is what Output returns: a run sets it, and so does the test of a step
	// that wants to see what the step says. Default: it is discarded.
	Log io.Writer

	data     []byte
	keep     func(ctx context.Context, data []byte) error
	progress func(done, total int64, message string)
}

// Previous is the version before Release, "" for none: what an Undo goes back
// to. In a run that takes another one back, Run.From and Run.Version are
// exchanged, and Previous is the same all the same.
func (t *Task) Previous() string {
	if t.Run.Undoes != "" {
		return t.Run.Version
	}
	return t.Run.From
}

// Output takes what a person may want to read, and is never nil. In a run it
// becomes EventLog events, at most 16 KiB a second: of more, the last. What is
// written shows that the step lives.
func (t *Task) Output() io.Writer {
	if t.Log == nil {
		return io.Discard
	}
	return t.Log
}

// Progress reports done of total, in any unit, and shows that the step lives.
// It may be called often: at most one event a second comes of it. A total of
// 0 is one that is not known.
func (t *Task) Progress(done, total int64, message string) {
	if t.progress != nil {
		t.progress(done, total, message)
	}
}

// Save keeps v, as JSON of at most 1 MiB, for the step's own later functions,
// also in another process. It is durable when Save returns.
func (t *Task) Save(ctx context.Context, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("save step data: %w", err)
	}
	if len(data) > maxData {
		return fmt.Errorf("%w: step data has %d bytes, at most %d are allowed", ErrInvalid, len(data), maxData)
	}
	if t.keep != nil {
		if err := t.keep(ctx, data); err != nil {
			return fmt.Errorf("save step data: %w", err)
		}
	}
	t.data = data
	return nil
}

// Load reads what Save kept. Nothing kept leaves v alone. It may have been kept
// by an earlier release of the program: v must be able to take its JSON.
func (t *Task) Load(v any) error {
	if len(t.data) == 0 {
		return nil
	}
	if err := json.Unmarshal(t.data, v); err != nil {
		return fmt.Errorf("load step data: %w", err)
	}
	return nil
}

// bounded calls f within the step's timeout and makes a panic an error.
func (s *Step) bounded(ctx context.Context, t *Task, f func(context.Context, *Task) error) error {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Timeout,
			fmt.Errorf("%w after %s", context.DeadlineExceeded, s.Timeout))
		defer cancel()
	}
	ctx = lease.Watchful(ctx)
	err := protect(func() error { return f(ctx, t) })
	if err != nil && ctx.Err() != nil {
		// The cause says more than "context canceled", and decides what follows.
		return chain(context.Cause(ctx), err)
	}
	return err
}

// PanicError is the error of a step's Check that panicked, from Start and Plan. A
// panic in another function of a step is told in the run's Reason, as any error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// weight is the step's share of the whole.
func (s *Step) weight() int { return max(s.Weight, 1) }

// describe records what must be known of s when the program has it no more.
// Its weight stays what it was when the run began, for the sake of Percent.
func (s *Step) describe(rec *StepRecord) {
	rec.Final, rec.NoUndo = s.PointOfNoReturn, s.Undo == nil
}
