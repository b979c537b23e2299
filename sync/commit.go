package sync

import "time"

// Commit is one state of the folder.
type Commit struct {
	ID, Parent string
	Device     string
	Time       time.Time // when it was put, by the remote's clock: for people, never for decisions
	By         By
	Tags       []string
	Files      int64
	Bytes      int64
}

// CommitQuery selects commits. The zero CommitQuery selects all.
type CommitQuery struct {
	Path   string // only commits that changed this file, or something in this folder
	Device string // only commits by this device
	After  string // only commits that follow the commit with this id in the list
}

// Difference is what differs in one path.
type Difference struct {
	Kind DifferenceKind
	Path string
	From string // of a rename
	Size int64  // after it, in bytes
}

// DifferenceKind says how.
type DifferenceKind string

// The kinds of differences.
const (
	DifferenceAdded   DifferenceKind = "added"
	DifferenceEdited  DifferenceKind = "edited"
	DifferenceDeleted DifferenceKind = "deleted"
	DifferenceRenamed DifferenceKind = "renamed"
)

// RestoreRequest asks for older content.
type RestoreRequest struct {
	Commit string   // required
	Paths  []string // files and folders, at most 1,000; default: all
	Into   string   // a folder of Files to put them in; default: where they were
	By     By
}

// Conflict is a file that two devices have edited. The name of the copy
// depends on its content only, so that every device makes the same one.
type Conflict struct {
	Path, Copy         string // the file, and the copy beside it
	PathHash, CopyHash string // of the contents, as they were when this was yielded
}

// Keep says how a conflict ends.
type Keep string

// The ways to end a conflict.
const (
	KeepFile Keep = "file" // the copy goes
	KeepCopy Keep = "copy" // the copy takes the file's name
	KeepBoth Keep = "both" // the copy is a file of its own from now on
)

// Depth says how far Verify looks.
type Depth string

// The depths.
const (
	DepthObjects  Depth = "objects"  // everything is there
	DepthContents Depth = "contents" // and says what it should: as much to read as a pull
)

// Damage is an object that is missing, or is not what was put.
type Damage struct {
	Object string
	Paths  []string // of the newest commit, that it makes unreadable; at most 1,000
	Reason string
}

// Compaction is what a compaction did, or would do.
type Compaction struct {
	Commit    string // that records it, "" if nothing had to be done
	Forgotten int    // commits
	Objects   int    // deleted
	Bytes     int64  // that the remote has less, unless it keeps versions of its own
}

// Key is a passphrase that opens the remote.
type Key struct {
	ID, Name string
	Time     time.Time // when it was added, by the remote's clock
}
