// Package storage names what an engine keeps. Use storage/memory in tests,
// storage/sqlite on one machine, storage/postgres on several.
//
// To see how an engine works read storage/memory first: it keeps the same
// promises in maps. The SQL of the others is in storage/sqlstore, whose example
// is an engine, and storage/storagetest tells whether one of your own is good.
package storage

import (
	"errors"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/fault"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/update"
)

// Backend is what a full engine offers: an update.Store, an lv.Store, a
// firmware.Store, a rollout.Store and a sync.Store, which the Config of each
// domain takes as it is, what a Deployer of package rollout keeps of its host,
// and remotes of package sync. The stores share its life: they are used until
// Close, which waits for them and may be called twice. Package storagetest checks
// implementations.
type Backend interface {
	Locker() lease.Locker
	Journal() update.Journal
	Versions() lv.VersionStore
	Firmware(device string) firmware.DeviceStore
	Rollouts() rollout.RunStore
	Instances(host string) rollout.InstanceStore
	SyncState(folder string) cloudsync.FolderStore
	// Remote returns a remote of package sync, which is there without Create: at
	// every call another handle, which may be closed by itself. A name for which
	// sync.CheckRemoteName has an error is sync.ErrInvalid at every call.
	Remote(name string) cloudsync.Remote
	// Remotes lists and removes those that were made by its Create. One that was
	// written by Remote before keeps what it has.
	Remotes() cloudsync.Remotes
	Close() error
}

// Decisions a caller may want to make, also of what the services of the domains
// return. The message says what happened.
var (
	// ErrClosed reports a call on a closed engine.
	ErrClosed = errors.New("storage: closed")
	// ErrNewer reports a database whose schema is newer than this program.
	ErrNewer = errors.New("storage: schema is newer than this program")
	// ErrForeign reports something that is not a database of Upkeep.
	ErrForeign = errors.New("storage: not a database of upkeep")
	// ErrFull reports that there is no space left for a write.
	ErrFull = fault.ErrFull
	// ErrReadOnly reports a place that cannot be written.
	ErrReadOnly = fault.ErrReadOnly
	// ErrBusy reports that others kept the engine busy for too long, or that it
	// could not be reached: a later call may succeed.
	ErrBusy = fault.ErrBusy
	// ErrCorrupt reports a damaged database, or something in it that is not
	// what was written. It is lv.ErrCorrupt.
	ErrCorrupt = fault.ErrCorrupt
	// ErrMoved reports that the files of an open database were moved, removed
	// or replaced. The engine refuses everything from then on, reads too: what
	// it would show or keep is not what others find at the path. The write that
	// met it may have happened, in the files that were moved.
	ErrMoved = errors.New("storage: not at its place")
)

// Retention says which events an engine keeps for Watch. A field that is not
// positive means its documented default.
type Retention struct {
	Events int           // at most; default 100,000
	Age    time.Duration // at most; default 30 days
}

// OrDefault returns r with the defaults in the place of what is not positive.
func (r Retention) OrDefault() Retention {
	if r.Events <= 0 {
		r.Events = 100_000
	}
	if r.Age <= 0 {
		r.Age = 30 * 24 * time.Hour
	}
	return r
}
