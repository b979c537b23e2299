package httpadapter

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

// snapshotReply is what a snapshot looks like, for openapi.json.
type snapshotReply struct {
	Table      wire.Table            `json:"table"`
	History    string                `json:"history"` // of the server: another one after a restore
	Seq        int64                 `json:"seq"`     // of the event whose state it is
	Time       time.Time             `json:"time"`    // of that event
	After      int64                 `json:"after"`   // where changes go on
	Strategies []wire.Strategy       `json:"strategies"`
	Envs       map[lv.Env][]wire.Row `json:"envs"` // a gray has only what it points at itself
}

// snapshot sends all that readers see of a table, row by row.
func (l *lvAPI) snapshot(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	if unchanged, err := c.tag(t); err != nil || unchanged {
		return err
	}
	s, err := t.Snapshot(c.r.Context())
	if err != nil {
		return err
	}
	if err := wire.WriteSnapshot(c.begin(), t.ID, s); err != nil {
		panic(http.ErrAbortHandler) // so that the client sees a broken reply, not a short one
	}
	return nil
}

// begin sends the head of a JSON reply whose length is not known.
func (c *call) begin() *patientWriter {
	c.w.Header().Set("Content-Type", "application/json")
	c.status = http.StatusOK
	c.w.WriteHeader(http.StatusOK)
	return &patientWriter{w: c.w, control: http.NewResponseController(c.w)}
}

// longReply is a JSON reply that is sent part by part once it is long, so that
// it is never in memory as a whole.
type longReply struct {
	c    *call
	text []byte         // what is not sent yet
	out  *patientWriter // nil until something is
}

// flush sends what there is, if it is much.
func (r *longReply) flush() {
	if len(r.text) >= part {
		r.send()
	}
}

func (r *longReply) send() {
	if r.out == nil {
		r.out = r.c.begin()
	}
	if _, err := r.out.Write(r.text); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	r.text = r.text[:0]
}

// end sends the rest.
func (r *longReply) end(text string) error {
	r.text = append(r.text, text...)
	if r.out == nil {
		return r.c.reply(http.StatusOK, encoded(r.text))
	}
	r.text = append(r.text, '\n') // for terminals
	r.send()
	return nil
}

// fail answers with an error, or breaks off what has been begun.
func (r *longReply) fail(err error) error {
	if r.out != nil {
		panic(http.ErrAbortHandler) // so that the client sees a broken reply, not a short one
	}
	return err
}

// patientWriter gives each write as long as a client may take to accept it.
// The server's own WriteTimeout counts from the request.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(text []byte) (written int, err error) {
	for some := range slices.Chunk(text, part) {
		// A ResponseWriter without deadlines is one whose owner sees to them.
		_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout))
		n, err := p.w.Write(some)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// changes streams what happens to the tables in the query, or to all.
func (l *lvAPI) changes(c *call) error {
	after, err := c.resumeAt()
	if err != nil {
		return err
	}
	app, schema := c.query.Get("appid"), c.query.Get("schemaid")
	if app != "" && schema != "" {
		if _, err := l.table(c); err != nil {
			return err
		}
	}
	for info, err := range l.service.Tables(c.r.Context(), lv.TableID{App: app, Schema: schema}) {
		if err != nil {
			return err
		}
		c.w.Header().Set(wire.HistoryHeader, info.History)
	}
	return c.stream(after, func(ctx context.Context, after int64) iter.Seq2[event, error] {
		return func(yield func(event, error) bool) {
			for e, err := range l.service.Watch(ctx, after) {
				sent := event{id: e.Seq}
				if (app == "" || e.Table.App == app) && (schema == "" || e.Table.Schema == schema) {
					sent = l.told(e)
				}
				if !yield(sent, err) {
					return
				}
			}
		}
	}, lv.ErrCompacted)
}

// told is what readers are told of an event. One that is too long is never
// made into text.
func (l *lvAPI) told(e lv.Event) event {
	if eventSize(e) > l.limits.Event {
		return event{id: e.Seq, name: "compacted", data: compactedData{After: e.Seq - 1}}
	}
	return event{id: e.Seq, name: string(e.Kind), data: wire.EventOf(e)}
}

// eventSize is about how long the text of an event is.
func eventSize(e lv.Event) int64 {
	const rest = 100 // of a row: names, versions and times
	size := 0
	for _, c := range e.Rows {
		size += rest + len(c.Row) + len(c.Content)
	}
	if e.Strategy != nil {
		size += len(e.Strategy.Extra)
	}
	return int64(size)
}
