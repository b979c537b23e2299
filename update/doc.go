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
// Source: the [WNCMS Updates API], which comments here call the document.
//
// [WNCMS Updates API]: https://doc.wncms.cc/api/endpoints/updates
package update
