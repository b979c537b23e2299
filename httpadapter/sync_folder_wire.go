package httpadapter

import (
	"math"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// syncChange is what of the settings a body names.
type syncChange struct {
	Enabled *bool   `json:"enabled"`
	Remote  *string `json:"remote"`
}

func (b syncChange) apply(s *cloudsync.Settings) {
	if b.Enabled != nil {
		s.Enabled = *b.Enabled
	}
	if b.Remote != nil {
		s.Remote = *b.Remote
	}
}

// restoreBody asks for older content.
type restoreBody struct {
	Commit    string   `json:"commit" openapi:"needed"`
	Paths     []string `json:"paths" openapi:"maxItems=1000,description=files and folders; default: all"`
	Into      string   `json:"into" openapi:"description=a folder to put them in; default: where they were"`
	RequestID string   `json:"request_id"`
	Reason    string   `json:"reason" openapi:"maxLength=4096"`
}

// resolveBody ends a conflict, as a list of them has it.
type resolveBody struct {
	Path     string `json:"path" openapi:"needed"`
	Copy     string `json:"copy" openapi:"needed"`
	PathHash string `json:"path_hash"`
	CopyHash string `json:"copy_hash"`
	Keep     string `json:"keep" openapi:"needed,enum=file|copy|both"`
	Reason   string `json:"reason" openapi:"maxLength=4096"`
}

// retentionBody says which commits are kept.
type retentionBody struct {
	AgeMS     *int64 `json:"age_ms" openapi:"needed,minimum=0,description=commits that are younger are kept; 0 keeps all"`
	Daily     int    `json:"daily" openapi:"minimum=0,description=of how many days the last older one is kept"`
	Weekly    int    `json:"weekly" openapi:"minimum=0,description=of how many weeks"`
	RequestID string `json:"request_id"`
	Reason    string `json:"reason" openapi:"maxLength=4096"`
}

// retention refuses what time.Duration does not hold; the rest is the domain's to
// refuse.
func (b retentionBody) retention() (cloudsync.Retention, error) {
	if *b.AgeMS < 0 || *b.AgeMS > math.MaxInt64/int64(time.Millisecond) {
		return cloudsync.Retention{}, web.BadBody.With("age_ms is not from 0 to 9223372036854")
	}
	return cloudsync.Retention{Age: time.Duration(*b.AgeMS) * time.Millisecond, Daily: b.Daily, Weekly: b.Weekly}, nil
}

// depthBody says how far to look.
type depthBody struct {
	Depth string `json:"depth" openapi:"enum=|objects|contents"`
}

// tagBody names a commit.
type tagBody struct {
	Commit string `json:"commit" openapi:"needed"`
	Reason string `json:"reason" openapi:"maxLength=4096"`
}

// keyBody is a passphrase.
type keyBody struct {
	Name       string `json:"name" openapi:"needed,maxLength=255"`
	Passphrase string `json:"passphrase" openapi:"needed,maxLength=1024"`
	Reason     string `json:"reason" openapi:"maxLength=4096"`
}

type syncKeysReply struct {
	Keys []syncKeyReply `json:"keys"`
	Next string         `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncKeyReply struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Time time.Time `json:"time"` // when it was added
}

type syncCommitsReply struct {
	Commits []syncCommitReply `json:"commits"`
	Next    string            `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncCommitReply struct {
	ID      string    `json:"id"`
	Parent  string    `json:"parent"` // "" for the first
	Device  string    `json:"device"`
	Time    time.Time `json:"time"` // by the remote's clock
	Actor   string    `json:"actor,omitempty"`
	Because string    `json:"request_reason,omitempty"` // why the actor asked
	Tags    []string  `json:"tags"`
	Files   int64     `json:"files"`
	Bytes   int64     `json:"bytes"`
}

type syncDifferencesReply struct {
	Differences []syncDifferenceReply `json:"differences"`
	Next        string                `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncDifferenceReply struct {
	Kind cloudsync.DifferenceKind `json:"kind"`
	Path string                   `json:"path"`
	From string                   `json:"from,omitempty"` // of a rename
	Size int64                    `json:"size"`           // after it, in bytes
}

type syncConflictsReply struct {
	Conflicts []syncConflictReply `json:"conflicts"`
	Next      string              `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncConflictReply struct {
	Path     string `json:"path"`
	Copy     string `json:"copy"`
	PathHash string `json:"path_hash"`
	CopyHash string `json:"copy_hash"`
}

type syncDamagesReply struct {
	Damages []syncDamageReply `json:"damages"`
	Next    string            `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncDamageReply struct {
	Object string   `json:"object"`
	Paths  []string `json:"paths" openapi:"description=what cannot be read of the newest commit; at most 1000"`
	Reason string   `json:"reason"`
}

func syncCommitOf(v cloudsync.Commit) syncCommitReply {
	return syncCommitReply{
		ID: v.ID, Parent: v.Parent, Device: v.Device, Time: v.Time, Actor: v.By.Actor, Because: v.By.Reason,
		Tags: append([]string{}, v.Tags...), Files: v.Files, Bytes: v.Bytes,
	}
}
