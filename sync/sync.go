package sync

import (
	"context"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// Config configures a Folder. A zero field means its documented default.
type Config struct {
	Name   string // required: names the folder in Store; at most 256 bytes
	Device string // this device's name, as people see it, at most 255 bytes; default: host name

	Store       Store        // required, unless Locker and FolderStore are set
	Locker      lease.Locker // default: that of Store
	FolderStore FolderStore  // default: that of Store for Name

	Files Files // required: the local side, such as Dir("notes")
	// Remote is where the folder is kept. Required without Remotes. The Folder
	// uses it, and does not close it.
	Remote Remote
	// Remotes has others, for Request.Remote and Settings.Remote. Default: none.
	Remotes Remotes
	// Vault has the passphrase that opens the remote, or makes its first key.
	// Required: package vault has it.
	Vault Vault

	// Ignore are lines as of a .gitignore, before those of the .syncignore at the
	// root of the folder. They mask this device only: what is ignored is neither
	// looked at, nor deleted, here or on the remote, whatever the Mode. A
	// .syncignore that cannot be read, or says what cannot be meant, is the end
	// of a sync: nothing is changed then. Default: nothing is ignored.
	Ignore []string
	// Merge merges two edits of a file, by extension in lower case, {".json":
	// MergeJSON}, if no side has more than 16 MiB. Default: nothing is merged, both
	// are kept.
	Merge map[string]Merge
	// MaxDelete refuses what deletes more, with ErrGuard.
	MaxDelete MaxDelete
	// Retain says what Run may forget of history. Default: nothing.
	Retain Retention

	// Gate is asked before each sync that Run starts: an error leaves it out,
	// and stands in Status. Default: nothing is left out.
	Gate func(ctx context.Context) error
	// Interval is the pause between the syncs of Run, a tenth more or less.
	// Default 5 minutes.
	Interval time.Duration
	// Rate limits transfers; it is asked every second. Default: no limit, which
	// also is what 0 means.
	Rate func() (upBytesPerSecond, downBytesPerSecond int64)

	LockTTL time.Duration // how long the lease of a dead process lasts; default 30 seconds, at least 1 second
	Owner   string        // names this process in leases and runs; default: host name and process id
	// OnFinish is told of every run that has ended, at least once, after its
	// lease is free. It is called on a goroutine that Shutdown and Close wait
	// for, and does not call them. Default: nothing.
	OnFinish func(Run)
	Logger   *slog.Logger // default slog.Default()
}

// MaxDelete is how much one sync may delete: more than both is refused. Renames
// do not count.
type MaxDelete struct {
	Share float64 // of the files; default 0.5, 1 for no limit
	Files int     // default 20
}

// Retention says which commits are kept: those younger than Age, and of older
// ones the last of each day and each week, so many of them. Tagged commits and
// the newest are always kept. Ages are by the remote's clock.
type Retention struct {
	Age           time.Duration // 0: all commits are kept
	Daily, Weekly int
}

// Merge makes one content of two edits of base, which is nil if none is known. It
// is asked with ours and theirs exchanged, too: if the results are not the same, or
// after an error, both are kept.
type Merge func(base, ours, theirs []byte) ([]byte, error)

// Mode says which side wins.
type Mode string

// The modes. All of them keep history.
const (
	ModeTwoWay    Mode = ""
	ModeForcePush Mode = "force_push" // the remote becomes like the folder
	ModeForcePull Mode = "force_pull" // the folder becomes like the remote
)

// Request asks for a sync.
type Request struct {
	Mode Mode
	// Force syncs at once, past back-off, and reads every file anew, whatever it
	// looks like from outside. It is never past a guard.
	Force bool
	// Fresh forgets the base: both sides are united and nothing is deleted. It
	// is the way out of ErrForked.
	Fresh  bool
	Remote string // one of Remotes, or DefaultRemote; default that of Settings. A new one starts without a base
	Plan   string // the ID of a Plan, to do exactly that, past the guards; else ErrStale
	By     By
}

// By says who asks for something, and why.
type By struct {
	Actor  string // at most 256 bytes
	Reason string // at most 4 KiB
	// RequestID makes a repeated request to begin a run return the run that the
	// first one began. At most 256 bytes.
	RequestID string
}

// String is "by Actor: Reason", without what is not known.
func (b By) String() string {
	switch {
	case b.Actor == "":
		return b.Reason
	case b.Reason == "":
		return "by " + b.Actor
	}
	return "by " + b.Actor + ": " + b.Reason
}

// DefaultRemote names Config.Remote to who has to give a name, unless one of
// Config.Remotes has this name.
const DefaultRemote = "main"

// Settings are what an operator may change while the program runs. Config has
// the first values.
type Settings struct {
	Enabled bool   // else every sync is ErrDisabled; true at first
	Remote  string // one of Remotes; "" is Config.Remote, and so is DefaultRemote when it is set
}
