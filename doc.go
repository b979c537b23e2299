// Package upkeep is the tour of a library for programs that change while
// people use them. It has nothing to import itself; the packages below are the
// library. The README says whom it is for, and what it promises.
//
// # Domains
//
// Each can be used alone. It defines its types, the small interfaces over
// which it works, and a service built by New from a plain Config:
//
//   - [github.com/upkeep-go/upkeep/update] brings something to a wanted
//     version, one update at a time: a lock, journaled steps, roll-back.
//     Package [github.com/upkeep-go/upkeep/update/step] has ready-made steps,
//     [github.com/upkeep-go/upkeep/update/source] and what is below it places
//     that versions come from.
//   - [github.com/upkeep-go/upkeep/lv] keeps versions of rows of published
//     content: saved, shown to some, released, taken back. Package
//     [github.com/upkeep-go/upkeep/lv/replica] gives other processes the same
//     reads.
//   - [github.com/upkeep-go/upkeep/firmware] keeps the image of a device: checked,
//     pulled, verified, installed beside the one that runs, confirmed or taken
//     back. Package [github.com/upkeep-go/upkeep/firmware/feed] makes and reads
//     feeds of releases, [github.com/upkeep-go/upkeep/firmware/slot] has slots and
//     boot loaders.
//   - [github.com/upkeep-go/upkeep/rollout] brings a new revision of a service
//     into use a step at a time, judges it, and goes back by itself. Package
//     [github.com/upkeep-go/upkeep/rollout/traffic] is its router,
//     [github.com/upkeep-go/upkeep/rollout/static] knows services that run
//     elsewhere, [github.com/upkeep-go/upkeep/rollout/analysis] asks others.
//   - [github.com/upkeep-go/upkeep/sync] keeps a folder the same on many devices,
//     with history, through a [github.com/upkeep-go/upkeep/storage/dir] or a
//     database. Package [github.com/upkeep-go/upkeep/sync/vault] has its keys.
//
// Below them is [github.com/upkeep-go/upkeep/lease]: one holder at a time, in one
// process or in many, for work of your own too.
//
// # Engines
//
// State is kept by an engine, which every domain can share, and which is the
// Store of its Config:
//
//   - [github.com/upkeep-go/upkeep/storage/memory]: maps. It keeps every
//     promise but durability, so it is the fake of your tests.
//   - [github.com/upkeep-go/upkeep/storage/sqlite]: one file, any number of
//     processes of one machine; or tables in your own database, inside your own
//     transactions.
//   - storage/postgres, a module of its own: any number of machines.
//
// An engine of your own needs no permission: implement the interfaces, and let
// lease/leasetest, update/updatetest, lv/lvtest, firmware/firmwaretest,
// rollout/rollouttest, sync/syncertest and storage/storagetest tell whether it keeps their
// promises. For a database that speaks SQL,
// [github.com/upkeep-go/upkeep/storage/sqlstore] has all statements already.
//
// # HTTP
//
// [github.com/upkeep-go/upkeep/httpadapter] serves five documented APIs, and
// Upkeep's own routes under /upkeep/v1/: on a ServeMux, or as an http.Handler
// on any router.
//
// # What is the same everywhere
//
// New(Config) starts nothing, Open may, Run(ctx) does what must happen by
// itself and blocks, Close waits and may be called twice. Long work is a run
// that survives its process: Plan, Start, Wait, one verb for both, Cancel,
// Status, History, Watch. Every call that changes something takes a By: who,
// why, and a request id that makes a repeated call get the first answer. Lists
// are iter.Seq2 with an error. Errors are sentinels: compare with errors.Is.
//
// # What comes with it
//
// A program over storage/memory links two modules besides this one, one over
// storage/sqlite nine. What else go.mod names is for tests.
//
// # What to read first
//
// To use it: the examples of this page, then that of the package you want, then
// its Config. examples/embed is the smallest program, examples/roll one that
// rolls, examples/syncdir one that syncs, examples/server the one with
// everything, examples/selfupdate replaces itself.
//
// To change it: CONTRIBUTING.md, then the doc.go of a domain, which names its
// files in the order in which they are best read. update and lv have the same
// file names in the domain, in each engine and in httpadapter.
package upkeep
