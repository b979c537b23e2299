// Package lease lets one holder at a time do something, in one process or in
// many: a [Locker] excludes, [Hold] keeps a lease alive for as long as the work
// takes. Every domain that acts stands on it.
//
// No clock of one machine is compared with that of another, and a holder that
// was stopped, or cut off, knows that its lease has ended before anybody else
// can have it.
//
// Engines are in storage/memory, storage/sqlite and storage/postgres; package
// leasetest checks one of your own. Read lease.go, then hold.go; line.go has the
// waiters of a process, watchful.go a machine's sleep.
//
// Source: the [WNCMS Updates API], "lock check".
//
// [WNCMS Updates API]: https://doc.wncms.cc/api/endpoints/updates
package lease
