package httpadapter

import (
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// runBody asks for an update.
type runBody struct {
	Package         string `json:"package" openapi:"needed"`
	Version         string `json:"version"`
	AllowDowngrade  bool   `json:"allow_downgrade"`
	AllowPrerelease bool   `json:"allow_prerelease"`
	RequestID       string `json:"request_id"`
	Reason          string `json:"reason" openapi:"maxLength=4096"`
}

// reasonBody says why.
type reasonBody struct {
	Reason string `json:"reason" openapi:"maxLength=4096"`
}

// rollbackBody says why a run is taken back. A repeated id returns the first run.
type rollbackBody struct {
	Reason    string `json:"reason" openapi:"maxLength=4096"`
	RequestID string `json:"request_id"`
}

// breakBody names a lease by its token, and says why it should end.
type breakBody struct {
	Token  int64  `json:"token" openapi:"needed"`
	Reason string `json:"reason" openapi:"maxLength=4096"`
}

// updateWords are the values of the types that have few.
var updateWords = []any{
	update.StateRunning, update.StateRollingBack, update.StateSucceeded, update.StateRolledBack, update.StateCancelled, update.StateFailed,
	update.PhaseTodo, update.PhaseDoing, update.PhaseDone, update.PhaseFailed, update.PhaseUndoing, update.PhaseUndone,
	update.EventStarted, update.EventStep, update.EventSaved, update.EventProgress, update.EventLog, update.EventCancel,
	update.EventBroken, update.EventStopped, update.EventRecovered, update.EventEnded, update.EventCorrupt,
	update.State(""), // of a record that is damaged
}

type packagesReply struct {
	Packages []packageReply `json:"packages"`
}

type packageReply struct {
	Package string     `json:"package"`
	Version string     `json:"version"` // "" for none
	Run     *runReply  `json:"run"`     // the live one, or null
	Lock    *lockReply `json:"lock"`    // null: free
}

type lockReply struct {
	Item       string    `json:"item"`
	Owner      string    `json:"owner,omitempty"`
	Token      int64     `json:"token"`
	AcquiredAt time.Time `json:"acquired_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

type planReply struct {
	Package  string   `json:"package"`
	From     string   `json:"from"`
	Version  string   `json:"version"`
	UpToDate bool     `json:"up_to_date"`
	Steps    []string `json:"steps"`
	Ready    bool     `json:"ready"` // every step's pre-flight check passed
	Reason   string   `json:"reason,omitempty"`
}

type runsReply struct {
	Runs []runReply `json:"runs"`
	Next string     `json:"next,omitempty"` // where after goes on; absent on the last page
}

type runReply struct {
	ID        string       `json:"id"`
	Package   string       `json:"package"`
	Item      string       `json:"item"`
	From      string       `json:"from"`
	Version   string       `json:"version"`
	State     update.State `json:"state"`
	Percent   int          `json:"percent"`
	Steps     []stepReply  `json:"steps"`
	Reason    string       `json:"reason,omitempty"`
	Requested string       `json:"requested,omitempty"` // the version asked for
	Actor     string       `json:"actor,omitempty"`
	Because   string       `json:"request_reason,omitempty"` // why the actor asked
	RequestID string       `json:"request_id,omitempty"`
	Undoes    string       `json:"undoes,omitempty"`
	Cancel    *byReply     `json:"cancel,omitempty"`
	Owner     string       `json:"owner,omitempty"`
	Token     int64        `json:"token"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	EndedAt   time.Time    `json:"ended_at,omitzero"`
}

type byReply struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
}

type stepReply struct {
	Name      string       `json:"name"`
	Phase     update.Phase `json:"phase"`
	Attempt   int          `json:"attempt"`
	Error     string       `json:"error,omitempty"`
	StartedAt time.Time    `json:"started_at,omitzero"`
	EndedAt   time.Time    `json:"ended_at,omitzero"`
}

type eventReply struct {
	Seq     int64            `json:"seq"`
	Time    time.Time        `json:"time"`
	Run     string           `json:"run"`
	Package string           `json:"package"`
	Kind    update.EventKind `json:"kind"`
	State   update.State     `json:"state"`
	Percent int              `json:"percent"`
	Step    string           `json:"step,omitempty"`
	Phase   update.Phase     `json:"phase,omitempty"`
	Actor   string           `json:"actor,omitempty"`
	Message string           `json:"message,omitempty"`
}

// details reports whether the caller may see what steps print, why they fail
// and in which process, which can tell more about a machine than every reader
// should know.
func details(c *web.Call) bool { return c.By.Level >= int(Admin) }

// runOf is what a caller may see of a run. What steps keep for themselves is
// never shown.
func (u *updateRoutes) runOf(c *web.Call, r update.Run) runReply {
	reply := runReply{
		ID: r.ID, Package: r.Package, Item: r.Item, From: r.From, Version: r.Version, State: r.State,
		Percent: r.Percent, Steps: []stepReply{}, Reason: r.Reason, Requested: r.Request.Version,
		Actor: r.Request.By.Actor, Because: r.Request.By.Reason, RequestID: r.Request.By.RequestID,
		Undoes: r.Undoes, Owner: r.Owner, Token: r.Token,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt,
	}
	if r.Cancel != nil {
		reply.Cancel = &byReply{Actor: r.Cancel.Actor, Reason: r.Cancel.Reason}
	}
	for _, s := range r.Steps {
		reply.Steps = append(reply.Steps, stepReply{s.Name, s.Phase, s.Attempt, s.Error, s.StartedAt, s.EndedAt})
	}
	if !details(c) {
		reply.Reason, reply.Owner = "", ""
		for i := range reply.Steps {
			reply.Steps[i].Error = ""
		}
	}
	return reply
}

func (r runReply) runID() string { return r.ID }

// runsOf serves the runs of updates. The output of steps is for who may see
// details.
func (u *updateRoutes) runsOf() *runRoutes[update.Run, runReply, update.Event] {
	return &runRoutes[update.Run, runReply, update.Event]{
		path: u.prefix + "/upkeep/v1/updates/runs", service: u.updates, show: u.runOf,
		corrupt: update.ErrCorrupt, compacted: update.ErrCompacted,
		facts: func(r *update.Run) runFacts { return runFacts{r.ID, r.Seq, r.State.Done(), r.EndedAt, &r.Reason} },
		tell: func(e update.Event) runEvent {
			told := runEvent{
				Event: web.Event{ID: e.Seq, Name: string(e.Kind), Data: eventReply(e)},
				run:   e.Run, at: e.Time, ended: e.Kind == update.EventEnded, corrupt: e.Kind == update.EventCorrupt,
			}
			if e.Kind != update.EventLog {
				e.Message = ""
				told.outline = eventReply(e)
			}
			return told
		},
	}
}

// lockName is the lock, of those that packages name, of a lease on item.
func lockName(item string) string {
	name := strings.TrimPrefix(item, lease.Item("update", ""))
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return name
}

// lockOf is what a caller may see of a lease.
func (u *updateRoutes) lockOf(c *web.Call, l lease.Lease) lockReply {
	reply := lockReply{lockName(l.Item), l.Owner, l.Token, l.AcquiredAt, l.ExpiresAt}
	if !details(c) {
		reply.Owner = ""
	}
	return reply
}
