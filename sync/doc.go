// Package sync is the engine that keeps a folder the same on many devices,
// through any object store. It has no runs and no schedule yet, and is imported
// by a name of its own:
//
//	import cloudsync "github.com/upkeep-go/upkeep/sync"
//
// Three trees are compared: the files of a folder, the newest commit in a
// Remote, and the base that both come from. A commit puts the next head, if it is
// absent: no clock and no lock decides anything. The newest head is the only
// root: what it does not name is not there. Two edits of a file are both kept,
// and an edit beats a deletion.
//
// Read remote.go, files.go, store.go and vault.go, which are what it stands on;
// then head.go, index.go, repository.go, limit.go and upload.go; then engine.go,
// report.go, scan.go, merge.go, plan.go, marker.go, intent.go and apply.go;
// compact.go is a commit of another kind, and local.go a folder of the system.
package sync
