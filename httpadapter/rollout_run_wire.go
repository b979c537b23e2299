package httpadapter

import (
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

type rolloutRunsReply struct {
	Runs []rolloutRunReply `json:"runs"`
	Next string            `json:"next,omitempty"` // where after goes on; absent on the last page
}

type rolloutRunReply struct {
	ID        string             `json:"id"`
	Env       string             `json:"env"`
	Service   string             `json:"service"`
	From      *revisionReply     `json:"from"` // null for the first
	Revision  revisionReply      `json:"revision"`
	State     rollout.State      `json:"state"`
	Status    string             `json:"status" openapi:"enum=running|stopped|finished|failed"` // as siblings of the document have it
	Percent   int                `json:"percent" openapi:"description=of the work: what share of the requests it has is in split"`
	Step      int                `json:"step"` // index in steps
	Steps     []rolloutStepReply `json:"steps"`
	States    []stateReply       `json:"states"`
	Split     splitReply         `json:"split"` // as last set
	Before    splitReply         `json:"before"`
	Spec      specReply          `json:"spec"`
	Reason    string             `json:"reason,omitempty"`
	Remark    string             `json:"remark,omitempty"`
	Actor     string             `json:"actor,omitempty"`
	Because   string             `json:"request_reason,omitempty"` // why the actor asked
	RequestID string             `json:"request_id,omitempty"`
	Undoes    string             `json:"undoes,omitempty"`
	Wish      *wishReply         `json:"wish"` // what somebody asked of it last, or null
	Owner     string             `json:"owner,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
	UpdatedAt time.Time          `json:"updated_at"`
	EndedAt   time.Time          `json:"ended_at,omitzero"`
}

func (r rolloutRunReply) runID() string { return r.ID }

type rolloutStepReply struct {
	Percent  int          `json:"percent"` // of the share wanted
	HoldMS   int64        `json:"hold_ms"` // 0: it is not looked at
	Manual   bool         `json:"manual"`
	Replicas int          `json:"replicas"` // 0: as many as its share needs
	Match    []matchReply `json:"match"`
}

type stateReply struct {
	State        rollout.State      `json:"state"`
	Status       string             `json:"status" openapi:"enum=running|finished|failed"`
	Step         int                `json:"step"`
	Reason       string             `json:"reason,omitempty"`
	Measurements []measurementReply `json:"measurements"`
	StartedAt    time.Time          `json:"started_at,omitzero"`
	EndedAt      time.Time          `json:"ended_at,omitzero"`
}

type measurementReply struct {
	Name    string             `json:"name"`
	Verdict rollout.Verdict    `json:"verdict"`
	Values  map[string]float64 `json:"values"`
	Reason  string             `json:"reason,omitempty"`
	Time    time.Time          `json:"time"`
}

type wishReply struct {
	Kind rollout.WishKind `json:"kind"`
	Step int              `json:"step"`
	byReply
}

type rolloutEventReply struct {
	Seq     int64             `json:"seq"`
	Time    time.Time         `json:"time"`
	Run     string            `json:"run"` // "" for what happens to a service without one
	Env     string            `json:"env"`
	Service string            `json:"service"`
	Kind    rollout.EventKind `json:"kind"`
	State   rollout.State     `json:"state"`
	Step    int               `json:"step"`
	Percent int               `json:"percent" openapi:"description=of the work: what share of the requests it has is in split"`
	Split   splitReply        `json:"split"`
	Actor   string            `json:"actor,omitempty"`
	Message string            `json:"message,omitempty"`
}

type servicesReply struct {
	Services []serviceReply `json:"services"`
	Next     string         `json:"next,omitempty"` // where after goes on; absent on the last page
}

type serviceReply struct {
	Env        string                 `json:"env"`
	Name       string                 `json:"name"`
	Revisions  []serviceRevisionReply `json:"revisions"`
	Split      splitReply             `json:"split"`
	Generation int64                  `json:"generation"`
	Stable     *revisionReply         `json:"stable"` // null before the first has succeeded
	KeptUntil  time.Time              `json:"kept_until,omitzero"`
	Held       bool                   `json:"held"`
	Path       string                 `json:"path"`
	UpdatedAt  time.Time              `json:"updated_at"`
	Reason     string                 `json:"reason,omitempty"` // why there is no more to tell of it
}

type serviceRevisionReply struct {
	revisionReply
	Replicas int       `json:"replicas"`
	Remark   string    `json:"remark,omitempty"`
	Replaced bool      `json:"replaced"`
	Spec     specReply `json:"spec"`
}

type serviceStatusReply struct {
	Service  serviceReply     `json:"service"`
	Run      *rolloutRunReply `json:"run"`      // the live one, or null
	InForce  splitReply       `json:"in_force"` // at the router of the process that answers
	Replicas []replicaReply   `json:"replicas"`
	Stats    statsReply       `json:"stats"` // of that router
}

type replicaReply struct {
	ID string `json:"id"`
	revisionReply
	State     rollout.ReplicaState `json:"state"`
	StartedAt time.Time            `json:"started_at,omitzero"`
	Restarts  int                  `json:"restarts"`
	CPU       float64              `json:"cpu"`    // cores in use
	Memory    int64                `json:"memory"` // bytes in use
	Endpoint  string               `json:"endpoint,omitempty"`
	Failure   string               `json:"failure,omitempty"`
}

type statsReply struct {
	Waiting   int                    `json:"waiting"`   // requests, now
	Open      int                    `json:"open"`      // requests and tunnels that replicas have, now
	Revisions map[string]countsReply `json:"revisions"` // by run
}

type countsReply struct {
	Requests  int64         `json:"requests"`
	Errors    int64         `json:"errors"`
	Cancelled int64         `json:"cancelled"`
	Latency   []bucketReply `json:"latency"`
}

type bucketReply struct {
	WithinMS float64 `json:"within_ms"`
	Count    int64   `json:"count"`
}

type contentsReply struct {
	Snapshots []contentReply `json:"snapshots"`
	Next      string         `json:"next,omitempty"` // where after goes on; absent on the last page
}

// contentReply is the content of a run that has succeeded.
type contentReply struct {
	Name      string    `json:"name"` // that of the run, for snapshot_name
	Version   string    `json:"version"`
	Remark    string    `json:"remark,omitempty"`
	Spec      specReply `json:"spec"`
	Actor     string    `json:"actor,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	EndedAt   time.Time `json:"ended_at"`
}

type logsReply struct {
	Lines []string `json:"lines"` // each after the name of its replica
	Cut   bool     `json:"cut"`   // there were more bytes than are told
}
