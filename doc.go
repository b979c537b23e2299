// Package upkeep keeps running things up to date. It has nothing to import
// itself: this page is the tour, the packages below are the library.
//
// # Domains
//
// Each can be used alone. It defines its types, the small interfaces over
// which it works, and a service built by New from a plain Config:
//
//   - [github.com/upkeep-go/upkeep/update] brings something to a wanted
//     version, one update at a time: a lock, journaled steps, roll-back.
//     Package update/step has ready-made steps, update/source places that
//     versions come from.
//   - [github.com/upkeep-go/upkeep/lv] keeps versions of rows of published
//     content: saved, shown to some, released, taken back. Package lv/replica
//     gives other processes the same reads.
//
// Below them is [github.com/upkeep-go/upkeep/lease]: one holder at a time, in one
// process or in many.
//
// # Engines
//
// State is kept by an engine, which every domain can share:
//
//   - [github.com/upkeep-go/upkeep/storage/memory]: maps. It keeps every
//     promise but durability, so it is the fake of your tests.
//   - [github.com/upkeep-go/upkeep/storage/sqlite]: one file, any number of
//     processes of one machine; or tables in your own database, inside your own
//     transactions.
//   - storage/postgres, a module of its own: any number of machines.
//
// An engine of your own needs no permission: implement the interfaces, and
// let lease/leasetest, update/updatetest, lv/lvtest and storage/storagetest tell
// whether it keeps their promises.
//
// # HTTP
//
// [github.com/upkeep-go/upkeep/httpadapter] serves the documented APIs, and
// Upkeep's own routes under /upkeep/v1/, on any mux.
//
// # What is the same everywhere
//
// New(Config) starts nothing, Open may, Run(ctx) does what must happen by
// itself and blocks, Close waits and may be called twice. Long work is a run
// that survives its process: Plan, Start, Wait, one verb for both, Cancel,
// Status, History, Watch. Lists are iter.Seq2 with an error. Errors are
// sentinels: compare with errors.Is.
//
// The programs in examples/ show all of it at work.
package upkeep
