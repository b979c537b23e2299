// Package update brings something to a wanted version, one update at a time:
// it takes a lock, runs journaled steps, and undoes them when one fails.
//
// An [Updater] has packages. A [Package] has a [Source] that knows which
// versions there are and the [Step] values that install one. Each run is
// recorded in a [Journal] before and after every effect, so an update survives
// its process: after a kill at any point the next Start on the package, or
// Run, finishes it or rolls it back, and an effect whose step has a Probe
// happens once.
//
// A [Locker] keeps two updates apart, in one process or in many. Package lease
// has it for other work that must not overlap.
//
// Engines for both are in storage/memory, storage/sqlite and storage/postgres;
// steps and sources that most programs need are in update/step and
// update/source; package updatetest checks an engine of your own.
//
// Begin with Config, Package and Step; Start begins a run, [Updater.Follow] and
// [Print] show it, Shutdown leaves it to the next process.
//
// To change the package, read in this order:
//
//   - update.go, package.go, step.go, source.go, task.go: what a user writes;
//     run.go and journal.go: what is kept; errors.go
//   - updater.go: the verbs, and Start; resolve.go, version.go: which version
//     that is, and whether it may be
//   - begin.go: from Start to a run; lock.go: who has the lock, and who may
//     come back to it
//   - runner.go: who works on a run; work.go: the way forward, and back; call.go
//     and notes.go: one step, and what it says; record.go: how it is written
//   - recover.go: what dead processes left; control.go: Cancel, Rollback and
//     Break; shutdown.go: the end
//   - follow.go, print.go, log.go: who looks; text.go and wait.go: what all use
//
// Source: the [WNCMS Updates API], which comments here call the document.
//
// [WNCMS Updates API]: https://doc.wncms.cc/api/endpoints/updates
package update
