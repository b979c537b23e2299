package httpadapter

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/upkeep-go/upkeep/lv"
)

// snapshot shows what Production and the grays point at and the strategies,
// all as of one event, after which changes go on. It is read again if the
// event is forgotten meanwhile.
func (l *lvAPI) snapshot(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	for range attempts {
		var reply snapshotReply
		if reply, err = l.snapshotOf(c.r.Context(), t); err == nil {
			return c.reply(http.StatusOK, reply)
		}
		if !errors.Is(err, lv.ErrCompacted) {
			break
		}
	}
	return err
}

func (l *lvAPI) snapshotOf(ctx context.Context, t *lv.Table) (reply snapshotReply, err error) {
	reply = snapshotReply{Envs: map[lv.Env][]rowReply{lv.Production: {}}, Strategies: []strategyReply{}}
	var info lv.TableInfo
	for found, err := range l.service.Tables(ctx, t.ID) {
		if err != nil {
			return reply, err
		}
		info = found
	}
	if info.Seq == 0 { // nobody has written to the table
		return reply, nil
	}
	reply.Seq = info.Seq
	for _, env := range environmentsOf(info.Envs) {
		rows := []rowReply{}
		for row, err := range t.Rows(ctx, lv.View{Env: env, Own: true, AsOf: info.Seq}) {
			if err != nil {
				return reply, err
			}
			rows = append(rows, rowOf(row))
		}
		reply.Envs[env] = rows
	}
	for _, s := range info.Strategies {
		shown, err := target(ctx, t, s)
		if err != nil {
			return reply, err
		}
		own := strategyReplyOf(s)
		own.Row = shown
		reply.Strategies = append(reply.Strategies, own)
	}
	return reply, nil
}

// target returns what a strategy shows, or nil if that is forgotten.
func target(ctx context.Context, t *lv.Table, s lv.Strategy) (*rowReply, error) {
	v, err := version(ctx, t, s.Target)
	if errors.Is(err, lv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	row := lv.Row{ID: v.Row, Version: v.ID, Content: v.Content, CreatedAt: v.Time, UpdatedAt: v.Time}
	working, err := t.Get(ctx, v.Row, lv.View{Working: true})
	switch {
	case err == nil:
		row.CreatedAt = working.CreatedAt
	case errors.Is(err, lv.ErrNotFound): // it is deleted: the oldest version knows
		for older, err := range t.History(ctx, lv.Query{Row: v.Row}) {
			if err != nil {
				return nil, err
			}
			row.CreatedAt = older.Time
		}
	default:
		return nil, err
	}
	shown := rowOf(row)
	return &shown, nil
}

// changes streams what happens to the tables in the query, or to all.
func (l *lvAPI) changes(c *call) error {
	after, err := c.resumeAt()
	if err != nil {
		return err
	}
	app, schema := c.query.Get("appid"), c.query.Get("schemaid")
	return c.stream(after, func(ctx context.Context, after int64) iter.Seq2[event, error] {
		return func(yield func(event, error) bool) {
			for e, err := range l.service.Watch(ctx, after) {
				if err == nil && (app != "" && e.Table.App != app || schema != "" && e.Table.Schema != schema) {
					continue
				}
				if !yield(event{id: e.Seq, name: string(e.Kind), data: changeEventOf(e)}, err) {
					return
				}
			}
		}
	}, lv.ErrCompacted)
}
