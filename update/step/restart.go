package step

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/update"
)

const (
	// drainTime bounds what a program does before it is restarted.
	drainTime = 10 * time.Second
	// confirmSlack is what is added to Binary.Within, which the program itself
	// watches over.
	confirmSlack = 10 * time.Second
	trialLook    = 50 * time.Millisecond
)

// thisProcess tells this process from the one that it was, or will be, under
// the same process id.
var thisProcess = rand.Text()

// Restart makes this process the program that is in place now, usually the one
// that SwapBinary has put there, with the arguments and the environment it was
// started with, in the folder where it was. On Windows the program is started
// and this process ends.
//
// Do hands over the listeners of p.Listen, which accept no more, calls drain,
// and becomes the program. Drain, which may be nil, finishes what is under way,
// as p.Shutdown does for an http.Server; its context ends after 10 seconds, and
// what it returns stops nothing. Main must not return meanwhile. Who connects
// from now on waits until the new program accepts; on Windows listeners are
// closed and opened again. A program that cannot be started at all is replaced
// by the old one at once; when that cannot be started either, this process
// ends with status 1.
//
// The update goes on in the new program, when that calls Updater.Recover or
// runs Updater.Run, on a goroutine: Verify waits there until the program has
// confirmed itself. Steps that follow see the new program. When it did not
// confirm itself, or one of them fails, Undo puts the old program back and
// becomes it, where the update is rolled back to its end. In a fleet that
// shares a journal each program is a package of its own: another one must not
// go on with an update that is not about itself.
//
// The new program is of another release and may have other steps. It finds
// those of the update by their names, as Named says: what is done may be gone
// from it, but this step, those that follow, and those to be undone must have
// the names that they had.
//
// Everything in memory is lost, also what a journal keeps there. A request
// that waits for this very update is never answered. Where a lock does not end
// with the process that holds it, which package sqlite says, the rest of the
// update waits for Config.LockTTL.
func Restart(p *Program, drain func(ctx context.Context) error) update.Step {
	return restarter{p, drain, thisProcess}.step()
}

type restarter struct {
	*Program
	drain   func(ctx context.Context) error
	process string // this one
}

func (r restarter) step() update.Step {
	return update.Step{Name: "restart", Check: r.check, Do: r.do, Probe: r.probe, Verify: r.verify, Undo: r.undo}
}

// restarted is what the step keeps.
type restarted struct {
	From string // the process that was to be restarted
	// Trial is that of the program which it was to become, or nil: there may
	// be another one when the restart is undone.
	Trial *trial
}

func (r restarter) check(context.Context, *update.Task) error {
	if r.Program == nil || r.place.path == "" {
		return errors.New("step: Restart needs the Program of Begin")
	}
	return nil
}

func (r restarter) do(ctx context.Context, t *update.Task) error {
	tr, err := r.trialOf(t)
	if err != nil {
		return err
	}
	if err := t.Save(ctx, restarted{From: r.process, Trial: tr}); err != nil {
		return err
	}
	handed := r.leave(ctx, t)
	err = r.become(handed)
	if tr == nil {
		return err
	}
	// What was to be started does not start, and this process has let go of
	// its work.
	e := r.retreat(*tr, err.Error())
	if e == nil {
		e = r.become(handed)
	}
	r.exit() // whoever starts the program again finds one in place, and the update goes on
	return errors.Join(err, e)
}

// leave lets go of the work of this process and returns what it hands over.
func (r restarter) leave(ctx context.Context, t *update.Task) []inherited {
	handed := r.handOver()
	r.stop()
	if r.drain == nil {
		return handed
	}
	defer meanwhile(func() { t.Progress(0, 0, "finishing what is under way") })()
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := r.drain(ctx); err != nil {
		say(t, "not all of what was under way is finished: "+err.Error())
	}
	return handed
}

// trialOf returns the trial of the program that t's run has brought, or nil.
func (r restarter) trialOf(t *update.Task) (*trial, error) {
	tr, err := r.place.readTrial()
	if err != nil || tr == nil || tr.Run != owner(t.Run) {
		return nil, err
	}
	return tr, nil
}

func (r restarter) probe(_ context.Context, t *update.Task) (update.Applied, error) {
	var d restarted
	if err := t.Load(&d); err != nil {
		return update.AppliedUnknown, err
	}
	if d.From == "" || d.From == r.process {
		return update.AppliedNo, nil
	}
	return update.AppliedYes, nil
}

// verify waits for the outcome of the trial.
func (r restarter) verify(ctx context.Context, t *update.Task) error {
	for start := time.Now(); ; {
		tr, err := r.trialOf(t)
		switch {
		case err != nil:
			return err
		case tr == nil || tr.State == confirmed:
			return nil
		case tr.State == goneBack:
			return fmt.Errorf("step: release %s has gone back: %s", tr.Version, tr.Reason)
		case time.Since(start) > tr.Within+confirmSlack:
			return fmt.Errorf("step: release %s did not confirm itself within %s", tr.Version, tr.Within)
		}
		t.Progress(0, 0, "waiting for the new program to confirm itself")
		if err := pause.For(ctx, trialLook); err != nil {
			return err
		}
	}
}

func (r restarter) undo(ctx context.Context, t *update.Task) error {
	var d restarted
	if err := t.Load(&d); err != nil || d.From == "" || d.From == r.process || d.Trial == nil {
		return err // it was never restarted, or by nothing new
	}
	there, err := r.place.is(ctx, d.Trial.New)
	if err != nil || !there {
		return err // this is the old program
	}
	tr, err := r.trialOf(t)
	if err != nil {
		return err
	}
	if tr == nil {
		tr = d.Trial
	}
	if err := r.retreat(*tr, "the update is rolled back"); err != nil {
		return err
	}
	return r.become(r.leave(ctx, t))
}
