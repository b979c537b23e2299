// Package wire is what the routes snapshot and changes of lv look like: httpadapter
// sends it, and lv/replica reads it and keeps it in its file.
package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// HistoryHeader is the header of changes that names the history of the server.
const HistoryHeader = "Upkeep-History"

// Event is an lv.Event as JSON.
type Event struct {
	Seq      int64        `json:"seq"`
	Time     time.Time    `json:"time"`
	Table    Table        `json:"table"`
	Kind     lv.EventKind `json:"kind"`
	Env      lv.Env       `json:"env"`
	Release  id           `json:"release,omitempty"`
	Rows     []Change     `json:"rows"`
	Strategy *Strategy    `json:"strategy,omitempty"`
	Actor    string       `json:"actor"`
}

// Table names a table.
type Table struct {
	App    string `json:"app"`
	Schema string `json:"schema"`
}

// Change is a pointer that moved.
type Change struct {
	ObjectID string          `json:"object_id"`
	From     id              `json:"from"`
	To       id              `json:"to"`
	Content  json.RawMessage `json:"content,omitempty"` // of the version it moved to; absent for a deletion
	CTime    int64           `json:"ctime"`             // when the row was created, Unix ms
	MTime    int64           `json:"mtime"`             // when the version was, Unix ms
	Corrupt  bool            `json:"corrupt,omitempty"` // the content is absent because it is damaged
}

// Row is a row that an environment points at.
type Row struct {
	ObjectID string          `json:"object_id"`
	Version  id              `json:"version"`
	Content  json.RawMessage `json:"content,omitempty"` // absent for a deletion
	CTime    int64           `json:"ctime"`
	MTime    int64           `json:"mtime"`
	Corrupt  bool            `json:"corrupt,omitempty"` // the content is absent because it is damaged
}

// Strategy is a strategy; in a Snapshot, with the row it shows.
type Strategy struct {
	ID       id              `json:"id"`
	Title    string          `json:"title"`
	ObjectID string          `json:"object_id"`
	Target   id              `json:"target"`
	Priority id              `json:"priority"`
	Disabled bool            `json:"disabled"`
	Rules    lv.Rules        `json:"rules"`
	Extra    json.RawMessage `json:"extra,omitempty"`
	Rev      int64           `json:"rev"`
	Seq      int64           `json:"seq"`
	Deleted  bool            `json:"deleted"`
	Shows    *Row            `json:"shows,omitempty"`
}

// id is a number beyond what JavaScript can hold, so it is text in JSON. It
// is read from either.
type id int64

func (i id) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatInt(int64(i), 10)), nil
}

func (i *id) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	*i = id(n)
	return err
}

// EventOf returns an event as it is sent.
func EventOf(e lv.Event) Event {
	out := Event{
		Seq: e.Seq, Time: e.Time, Table: Table{e.Table.App, e.Table.Schema}, Kind: e.Kind, Env: e.Env,
		Release: id(e.Release), Rows: make([]Change, len(e.Rows)), Actor: e.Actor,
	}
	for i, c := range e.Rows {
		out.Rows[i] = Change{
			ObjectID: c.Row, From: id(c.From), To: id(c.To), Content: c.Content,
			CTime: unix(c.CreatedAt), MTime: unix(c.UpdatedAt), Corrupt: c.Corrupt,
		}
	}
	if e.Strategy != nil {
		out.Strategy = new(strategyOf(*e.Strategy))
	}
	return out
}

// Event returns the event that was sent.
func (e Event) Event() lv.Event {
	out := lv.Event{
		Seq: e.Seq, Time: e.Time, Table: lv.TableID(e.Table), Kind: e.Kind, Env: e.Env,
		Release: int64(e.Release), Actor: e.Actor,
	}
	for _, c := range e.Rows {
		out.Rows = append(out.Rows, lv.Moved{
			Row: c.ObjectID, From: lv.VersionID(c.From), To: lv.VersionID(c.To), Content: c.Content,
			CreatedAt: moment(c.CTime), UpdatedAt: moment(c.MTime), Corrupt: c.Corrupt,
		})
	}
	if e.Strategy != nil {
		out.Strategy = new(e.Strategy.strategy())
	}
	return out
}

func strategyOf(s lv.Strategy) Strategy {
	return Strategy{
		ID: id(s.ID), Title: s.Title, ObjectID: s.Row, Target: id(s.Target), Priority: id(s.Priority), Disabled: s.Disabled,
		Rules: s.Rules, Extra: s.Extra, Rev: s.Rev, Seq: s.Seq, Deleted: s.Deleted,
	}
}

func (s Strategy) strategy() lv.Strategy {
	return lv.Strategy{
		ID: int64(s.ID), Title: s.Title, Row: s.ObjectID, Target: lv.VersionID(s.Target), Priority: int64(s.Priority), Disabled: s.Disabled,
		Rules: s.Rules, Extra: s.Extra, Rev: s.Rev, Seq: s.Seq, Deleted: s.Deleted,
	}
}

func rowOf(r lv.Row) Row {
	return Row{ObjectID: r.ID, Version: id(r.Version), Content: r.Content, CTime: unix(r.CreatedAt), MTime: unix(r.UpdatedAt), Corrupt: r.Corrupt}
}

func (r Row) row() lv.Row {
	return lv.Row{
		ID: r.ObjectID, Version: lv.VersionID(r.Version), Content: r.Content,
		CreatedAt: moment(r.CTime), UpdatedAt: moment(r.MTime), Corrupt: r.Corrupt,
	}
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
