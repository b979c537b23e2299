// Package sync keeps a folder the same on many devices, through a flat store of
// objects, encrypted, with history and with nothing lost. Import it by a name of
// its own:
//
//	import cloudsync "github.com/upkeep-go/upkeep/sync"
//
// A [Folder] compares three trees: its [Files], the newest commit in a [Remote],
// and the base that both come from. A commit puts the next head, if it is absent:
// no clock and no lock decides anything. The newest head is the only root: what it
// does not name is not there. Two edits of a file are both kept, an edit beats a
// deletion, and times never make a difference. What a device cannot hold, or
// ignores, it leaves as it is on all others.
//
// [Dir] is a folder of the system. Remotes are in storage/memory, storage/sqlite,
// storage/postgres and storage/dir; package vault has the keys, and package
// syncertest checks what you write yourself.
//
// What it does not do: extended attributes, parts of a folder for some people,
// transfer from device to device, databases that are open.
//
// To use it read sync.go, syncer.go, folder.go, past.go, run.go and commit.go. What
// it stands on is in files.go, remote.go, store.go and vault.go. To change it read
// records.go, begin.go, work.go and schedule.go, which are the runs, and at.go and
// unlock.go, by which they come to an engine; then the engine: head.go, index.go,
// places.go, repository.go and upload.go, which are the format; engine.go, notes.go,
// scan.go, cutting.go, seen.go, merge.go, plan.go, marker.go, intent.go, changes.go,
// stage.go and apply.go, which are a sync; compact.go, tag.go, repair.go and log.go,
// which are commits of other kinds; local.go is a folder of the system.
//
// Source: SiYuan sync API.
package sync
