package httpadapter

import (
	"encoding/json"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// What our own routes about rows take and give. Ids of versions, releases and
// strategies are decimal texts, "0" for none: they may be more than a number
// of JavaScript can hold. A request_id that is repeated gets the first answer.

// whyBody says why. It stands in what else a body has.
type whyBody struct {
	Desc      string `json:"desc" openapi:"maxLength=4096"`
	RequestID string `json:"request_id" openapi:"maxLength=256"`
}

func (b whyBody) said() whyBody { return b }

// saveBody is what a working row is to say.
type saveBody struct {
	Content json.RawMessage `json:"content" openapi:"needed"`
	Expect  string          `json:"expect"` // the version that the row is at, or "none"; default: anything
	whyBody
}

// removeBody deletes a working row.
type removeBody struct {
	Expect string `json:"expect"` // the version that the row is at; default: anything
	whyBody
}

// expected returns what is expected to be there, or nil for anything.
func expected(text string) (*lv.VersionID, error) {
	switch text {
	case "":
		return nil, nil
	case "none":
		return new(lv.VersionID), nil
	}
	id, err := versionOf(text)
	return &id, err
}

// planBody is a change list.
type planBody struct {
	Env     string       `json:"env"` // default: production
	Changes []changeBody `json:"changes" openapi:"needed,minItems=1,maxItems=1000"`
	whyBody
}

// changeBody moves the pointer of one row.
type changeBody struct {
	ObjectID string `json:"object_id"`           // may be left out beside a version
	To       string `json:"to" openapi:"needed"` // a version, "working" or "none"
	Expect   string `json:"expect"`              // a version, "none" or "any"; default: what is there when it is planned
	After    string `json:"after"`               // in place of expect: the release that leaves what is expected
}

// scheduleBody says when a release is due.
type scheduleBody struct {
	At string `json:"at" openapi:"needed,format=date-time"`
	whyBody
}

// testBody is rules, as JSON or a text of it, and a visitor. Percentages
// without a seed are those of a strategy: then it must be named.
type testBody struct {
	_          struct{}          `openapi:"minProperties=1"`
	StrategyID string            `json:"strategy_id"`
	Rules      json.RawMessage   `json:"rules"`      // default: the strategy's
	Attributes map[string]string `json:"attributes"` // "object.field" to value
}

// lvWords are the values of the types that have few.
var lvWords = []any{
	lv.ReleaseDraft, lv.ReleaseApproved, lv.ReleaseScheduled, lv.ReleaseApplied, lv.ReleaseFailed, lv.ReleaseCancelled,
	lv.EventSaved, lv.EventReleased, lv.EventDraft, lv.EventStrategy, lv.OpSave, lv.OpDelete, lv.OpRestore,
	lv.StatusAny, lv.StatusPublished, lv.StatusChanged,
}

type testReply struct {
	Matches bool `json:"matches"`
}

type tablesReply struct {
	Tables []tableReply `json:"tables"`
}

type tableReply struct {
	App        string   `json:"app"`
	Schema     string   `json:"schema"`
	Seq        int64    `json:"seq"` // of its last event
	Envs       []lv.Env `json:"envs"`
	Strategies int      `json:"strategies"` // how many
}

type environmentsReply struct {
	Envs []lv.Env `json:"envs"` // production, which is "", and the grays
}

type rowsReply struct {
	Rows []rowReply `json:"rows"`
	Next string     `json:"next,omitempty"` // where after goes on; absent on the last page
}

type rowReply struct {
	ObjectID string          `json:"object_id"`
	Version  string          `json:"version"`
	Content  json.RawMessage `json:"content"`           // null: a deletion
	Status   lv.Status       `json:"status,omitempty"`  // of a working row
	CTime    int64           `json:"ctime"`             // when the row was created, Unix ms
	MTime    int64           `json:"mtime"`             // when the version was, Unix ms
	Corrupt  bool            `json:"corrupt,omitempty"` // the content is null because it is damaged
}

func rowOf(r lv.Row) rowReply {
	return rowReply{r.ID, decimal(r.Version), r.Content, r.Status, r.CreatedAt.UnixMilli(), r.UpdatedAt.UnixMilli(), r.Corrupt}
}

// savedReply is the version that a change of a working row has left.
type savedReply struct {
	ObjectID string    `json:"object_id"`
	Version  string    `json:"version"`
	Op       lv.Op     `json:"op"`
	Actor    string    `json:"actor"`
	Desc     string    `json:"desc"`
	Time     time.Time `json:"time"`
}

func savedOf(v lv.Version) savedReply {
	return savedReply{v.Row, decimal(v.ID), v.Op, v.By.Actor, v.By.Reason, v.Time}
}

type diffReply struct {
	ObjectID    string            `json:"object_id"`
	Differences []differenceReply `json:"differences"`
}

// differenceReply is a field with two values. One that is not there is absent.
type differenceReply struct {
	Path string          `json:"path"` // JSON Pointer
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

type releasesReply struct {
	Releases []releaseReply `json:"releases"`
	Next     string         `json:"next,omitempty"` // where after goes on; absent on the last page
}

type releaseReply struct {
	ID        string          `json:"id"`
	Env       lv.Env          `json:"env"`
	State     lv.ReleaseState `json:"state"`
	Changes   []changeReply   `json:"changes"`
	Desc      string          `json:"desc"`
	Actor     string          `json:"actor"`
	Approver  string          `json:"approver,omitempty"`
	At        time.Time       `json:"at,omitzero"` // when it is due
	Reverts   string          `json:"reverts,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	AppliedAt time.Time       `json:"applied_at,omitzero"`
	Seq       int64           `json:"seq,omitempty"` // of the event that applied it
	Rev       int64           `json:"rev"`
}

// changeReply is the move of one pointer, or of a working row that has moved.
// To is "0" if a gray follows production again.
type changeReply struct {
	ObjectID string  `json:"object_id"`
	From     string  `json:"from"`
	To       string  `json:"to"`
	Expect   *string `json:"expect,omitempty"`
}

func releaseOf(r lv.Release) releaseReply {
	reply := releaseReply{
		ID: decimal(r.ID), Env: r.Env, State: r.State, Changes: changesOf(r.Changes), Desc: r.By.Reason, Actor: r.By.Actor,
		Approver: r.Approver, At: r.At, CreatedAt: r.CreatedAt, AppliedAt: r.AppliedAt, Seq: r.Seq, Rev: r.Rev,
	}
	if r.Reverts != 0 {
		reply.Reverts = decimal(r.Reverts)
	}
	return reply
}

func changesOf(all []lv.Change) []changeReply {
	reply := make([]changeReply, 0, len(all))
	for _, c := range all {
		change := changeReply{ObjectID: c.Row, From: decimal(c.From), To: decimal(c.To)}
		if c.Expect != nil {
			expected := decimal(*c.Expect)
			change.Expect = &expected
		}
		reply = append(reply, change)
	}
	return reply
}
