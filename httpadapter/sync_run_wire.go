package httpadapter

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// syncBody asks for a sync, or for a plan of one.
type syncBody struct {
	Mode      string `json:"mode" openapi:"enum=|force_push|force_pull"`
	Force     bool   `json:"force" openapi:"description=at once past back-off and with every file read anew"`
	Fresh     bool   `json:"fresh" openapi:"description=unite both sides and delete nothing"`
	Remote    string `json:"remote" openapi:"description=by default that of the settings"`
	Plan      string `json:"plan" openapi:"description=the id of one: do exactly that and past the guards; of a further page: the one whose page it is"`
	RequestID string `json:"request_id"`
	Reason    string `json:"reason" openapi:"maxLength=4096"`
}

const maxActions = 1000 // of a page

var limitQuery = web.Whole("limit", "at most so many, and never more than 1,000; default 50", 1)

type syncPlanReply struct {
	syncPlanHead
	Actions []syncActionReply `json:"actions"`
	Next    string            `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncPlanHead struct {
	ID       string             `json:"id"`
	Base     string             `json:"base"` // the commit that the folder equalled last, "" for none
	Head     string             `json:"head"` // the newest commit of the remote, "" for none
	Guard    string             `json:"guard" openapi:"description=why a sync is refused that does not name the plan; empty if it is not"`
	Problems []syncProblemReply `json:"problems" openapi:"description=at most 1000"`
}

type syncActionReply struct {
	Kind cloudsync.ActionKind `json:"kind"`
	Path string               `json:"path"`
	From string               `json:"from,omitempty"` // the other name
	Size int64                `json:"size"`           // bytes
}

type syncProblemReply struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

type syncRunsReply struct {
	Runs []syncRunReply `json:"runs"`
	Next string         `json:"next,omitempty"` // where after goes on; absent on the last page
}

type syncRunReply struct {
	ID         string               `json:"id"`
	Kind       cloudsync.Kind       `json:"kind"`
	Boot       bool                 `json:"boot"` // the first sync after the start
	State      cloudsync.State      `json:"state"`
	Step       cloudsync.Step       `json:"step"`
	Percent    int                  `json:"percent"`
	Progress   syncProgressReply    `json:"progress"` // of the step
	Reason     string               `json:"reason,omitempty"`
	Cause      string               `json:"cause,omitempty"`
	Mode       cloudsync.Mode       `json:"mode"`
	Force      bool                 `json:"force"`
	Fresh      bool                 `json:"fresh"`
	Remote     string               `json:"remote,omitempty"` // the one asked for
	Plan       string               `json:"plan,omitempty"`
	Restore    *syncRestoredReply   `json:"restore,omitempty"`
	Keep       *syncRetention       `json:"keep,omitempty"`
	Uploaded   int                  `json:"uploaded"` // files
	Downloaded int                  `json:"downloaded"`
	Deleted    int                  `json:"deleted"`
	Conflicts  int                  `json:"conflicts"`
	Compaction *syncCompactionReply `json:"compaction,omitempty"`
	Commit     string               `json:"commit,omitempty"` // what the folder equals now
	Actor      string               `json:"actor,omitempty"`
	Because    string               `json:"request_reason,omitempty"` // why the actor asked
	RequestID  string               `json:"request_id,omitempty"`
	Cancel     *byReply             `json:"cancel,omitempty"`
	Owner      string               `json:"owner,omitempty"`
	CreatedAt  time.Time            `json:"created_at"`
	UpdatedAt  time.Time            `json:"updated_at"`
	EndedAt    time.Time            `json:"ended_at,omitzero"`
}

func (r syncRunReply) runID() string { return r.ID }

type syncProgressReply struct {
	Files    int64 `json:"files"`
	AllFiles int64 `json:"all_files"`
	Bytes    int64 `json:"bytes"`
	AllBytes int64 `json:"all_bytes"`
}

type syncRestoredReply struct {
	Commit string   `json:"commit"`
	Paths  []string `json:"paths"` // none: all
	Into   string   `json:"into"`
}

// syncRetention says what is kept of history.
type syncRetention struct {
	AgeMS  int64 `json:"age_ms"`
	Daily  int   `json:"daily"`
	Weekly int   `json:"weekly"`
}

type syncCompactionReply struct {
	Commit    string `json:"commit,omitempty"` // that records it
	Forgotten int    `json:"forgotten"`        // commits
	Objects   int    `json:"objects"`          // deleted
	Bytes     int64  `json:"bytes"`            // that the remote has less
}

type syncEventReply struct {
	Seq      int64               `json:"seq"`
	Time     time.Time           `json:"time"`
	Run      string              `json:"run"` // "" for what is of no run
	Kind     cloudsync.EventKind `json:"kind"`
	State    cloudsync.State     `json:"state"`
	Step     cloudsync.Step      `json:"step"`
	Percent  int                 `json:"percent"`
	Progress syncProgressReply   `json:"progress"`
	Path     string              `json:"path,omitempty"`
	Actor    string              `json:"actor,omitempty"`
	Message  string              `json:"message,omitempty"`
}

type syncStatusReply struct {
	Name      string             `json:"name"`
	Device    string             `json:"device"`
	Commit    string             `json:"commit"` // what the folder equalled
	SyncedAt  time.Time          `json:"synced_at,omitzero"`
	Gate      string             `json:"gate,omitempty"` // why it leaves syncs out
	Conflicts int                `json:"conflicts"`      // copies that are there
	Problems  []syncProblemReply `json:"problems" openapi:"description=files that this device cannot hold; at most 1000"`
	Devices   []syncDeviceReply  `json:"devices"`
	Settings  syncSettings       `json:"settings"`
	Run       *syncRunReply      `json:"run"`  // the live one, or null
	Last      *syncRunReply      `json:"last"` // the last one that ended, or null
}

type syncDeviceReply struct {
	Name   string `json:"name"`
	Cloned bool   `json:"cloned"` // two of them have one identity
	Commit string `json:"commit"` // its last one
}

// syncSettings are what an operator may change.
type syncSettings struct {
	Enabled bool   `json:"enabled"`
	Remote  string `json:"remote"`
}

// runsOf serves the runs of the folder. What is logged is for who may see details.
func (s *syncRoutes) runsOf() *runRoutes[cloudsync.Run, syncRunReply, cloudsync.Event] {
	return &runRoutes[cloudsync.Run, syncRunReply, cloudsync.Event]{
		path: s.prefix + "/upkeep/v1/sync/runs", service: followedSyncer{s.syncer}, show: syncRunOf,
		corrupt: cloudsync.ErrCorrupt, compacted: cloudsync.ErrCompacted,
		facts: func(r *cloudsync.Run) runFacts { return runFacts{r.ID, r.Seq, r.State.Done(), r.EndedAt, &r.Reason} },
		tell: func(e cloudsync.Event) runEvent {
			told := runEvent{
				Event: web.Event{ID: e.Seq, Name: string(e.Kind), Data: syncEventOf(e)},
				run:   e.Run, at: e.Time, ended: e.Kind == cloudsync.EventEnded, corrupt: e.Kind == cloudsync.EventCorrupt,
			}
			if e.Kind != cloudsync.EventLog {
				e.Message = ""
				told.outline = syncEventOf(e)
			}
			return told
		},
	}
}

// followedSyncer is a Syncer that yields the events of one run.
type followedSyncer struct{ cloudsync.Syncer }

// Follow yields the events of a run from its first on, and ends with its last.
func (f followedSyncer) Follow(ctx context.Context, id string) iter.Seq2[cloudsync.Event, error] {
	return func(yield func(cloudsync.Event, error) bool) {
		run, err := f.Get(ctx, id)
		if err != nil {
			yield(cloudsync.Event{}, err)
			return
		}
		for e, err := range f.Watch(ctx, run.Seq-1) {
			switch {
			case err != nil:
				yield(e, err)
				return
			case e.Run != id:
				continue
			case !yield(e, nil) || e.Kind == cloudsync.EventEnded:
				return
			case e.Kind == cloudsync.EventCorrupt: // it may be the last
				if run, err := f.Get(ctx, id); err != nil || run.State.Done() && !e.Time.Before(run.EndedAt) {
					return
				}
			}
		}
	}
}

// page answers with the actions of a plan that follow the first so many.
func (s *syncRoutes) page(c *web.Call, p cloudsync.Plan, after, limit int) error {
	actions := web.Map(web.All(p.Actions[after:]), func(a cloudsync.Action, _ error) (syncActionReply, error) {
		return syncActionReply(a), nil
	})
	head := syncPlanHead{ID: p.ID, Base: p.Base, Head: p.Head, Guard: p.Guard, Problems: syncProblemsOf(p.Problems)}
	return web.PageOf(c, head, "actions", limit, actions, func(syncActionReply) string {
		after++
		return strconv.Itoa(after)
	})
}

func syncProblemsOf(all []cloudsync.Problem) []syncProblemReply {
	return each(all[:min(len(all), 1000)], func(p cloudsync.Problem) syncProblemReply { return syncProblemReply(p) })
}

// syncRunOf is what a caller may see of a run.
func syncRunOf(c *web.Call, r cloudsync.Run) syncRunReply {
	reply := syncRunReply{
		ID: r.ID, Kind: r.Kind, Boot: r.Boot, State: r.State, Step: r.Step, Percent: r.Percent, Progress: syncProgressReply(r.Progress),
		Reason: r.Reason, Cause: r.Cause, Mode: r.Request.Mode, Force: r.Request.Force, Fresh: r.Request.Fresh, Remote: r.Request.Remote,
		Plan: r.Request.Plan, Uploaded: r.Uploaded, Downloaded: r.Downloaded, Deleted: r.Deleted, Conflicts: r.Conflicts, Commit: r.Commit,
		Actor: r.Request.By.Actor, Because: r.Request.By.Reason, RequestID: r.Request.By.RequestID, Owner: r.Owner,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt,
	}
	if r.Restore != nil {
		reply.Restore = &syncRestoredReply{Commit: r.Restore.Commit, Paths: append([]string{}, r.Restore.Paths...), Into: r.Restore.Into}
	}
	if r.Keep != nil {
		reply.Keep = &syncRetention{AgeMS: r.Keep.Age.Milliseconds(), Daily: r.Keep.Daily, Weekly: r.Keep.Weekly}
	}
	if r.Compaction != nil {
		done := syncCompactionReply(*r.Compaction)
		reply.Compaction = &done
	}
	if r.Cancel != nil {
		reply.Cancel = &byReply{Actor: r.Cancel.Actor, Reason: r.Cancel.Reason}
	}
	if !details(c) {
		reply.Reason, reply.Owner = "", ""
	}
	return reply
}

func syncEventOf(e cloudsync.Event) syncEventReply {
	return syncEventReply{
		Seq: e.Seq, Time: e.Time, Run: e.Run, Kind: e.Kind, State: e.State, Step: e.Step, Percent: e.Percent,
		Progress: syncProgressReply(e.Progress), Path: e.Path, Actor: e.Actor, Message: e.Message,
	}
}

// syncStatusOf is what a caller may see of a folder.
func syncStatusOf(c *web.Call, st cloudsync.Status) syncStatusReply {
	reply := syncStatusReply{
		Name: st.Name, Device: st.Device, Commit: st.Commit, SyncedAt: st.SyncedAt, Gate: st.Gate, Conflicts: st.Conflicts,
		Problems: syncProblemsOf(st.Problems), Settings: syncSettings(st.Settings),
		Devices: each(st.Devices, func(d cloudsync.Device) syncDeviceReply { return syncDeviceReply(d) }),
	}
	if !details(c) {
		reply.Gate = ""
	}
	for _, r := range []struct {
		from *cloudsync.Run
		to   **syncRunReply
	}{{st.Run, &reply.Run}, {st.Last, &reply.Last}} {
		if r.from != nil {
			run := syncRunOf(c, *r.from)
			*r.to = &run
		}
	}
	return reply
}
