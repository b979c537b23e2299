package httpadapter

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
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
func (l *lvRoutes) snapshot(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	if unchanged, err := l.tag(c, t); err != nil || unchanged {
		return err
	}
	s, err := t.Snapshot(c.Context())
	if err != nil {
		return err
	}
	w, err := c.Begin()
	if err != nil {
		return err
	}
	if err := wire.WriteSnapshot(w, t.ID, s); err != nil {
		panic(http.ErrAbortHandler) // so that the client sees a broken reply, not a short one
	}
	return nil
}

// changes streams what happens to the tables in the query, or to all.
func (l *lvRoutes) changes(c *web.Call) error {
	after, err := c.ResumeAt()
	if err != nil {
		return err
	}
	app, schema := c.Query.Get("appid"), c.Query.Get("schemaid")
	if app != "" && schema != "" {
		if _, err := l.table(c); err != nil {
			return err
		}
		for info, err := range l.service.Tables(c.Context(), lv.TableID{App: app, Schema: schema}) {
			if err != nil {
				return err
			}
			c.Header().Set(wire.HistoryHeader, info.History)
		}
	}
	return c.Stream(after, func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
		return func(yield func(web.Event, error) bool) {
			for e, err := range l.service.Watch(ctx, after) {
				sent := web.Event{ID: e.Seq}
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
func (l *lvRoutes) told(e lv.Event) web.Event {
	if eventSize(e) > l.event {
		return web.Event{ID: e.Seq, Name: "compacted", Data: web.Compacted{After: e.Seq - 1}}
	}
	return web.Event{ID: e.Seq, Name: string(e.Kind), Data: wire.EventOf(e)}
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
