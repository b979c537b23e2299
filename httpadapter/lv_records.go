package httpadapter

import (
	"context"
	"errors"
	"iter"

	"github.com/upkeep-go/upkeep/lv"
)

// recordReply is a deletion of a row that somebody still shows.
type recordReply struct {
	ActionID  string       `json:"actionId"`
	ObjectID  string       `json:"objectId"`
	VersionID string       `json:"versionId"` // what production still shows, or else the first of Shown
	Actor     string       `json:"actor"`
	Time      int64        `json:"time"`  // Unix ms
	Shown     []shownReply `json:"shown"` // where it is shown
}

// shownReply is who shows a version: production if GrayID is "", a gray, or a
// strategy, though it may be switched off.
type shownReply struct {
	GrayID     string `json:"grayId"`
	StrategyID string `json:"strategyId,omitempty"`
	VersionID  string `json:"versionId"`
}

// records yields the deletions of rows that somebody still shows, by the ids
// of the rows.
func records(ctx context.Context, t *lv.Table, after string) iter.Seq2[recordReply, error] {
	return func(yield func(recordReply, error) bool) {
		for {
			rows, shown, err := recorded(ctx, t, after)
			if err != nil {
				yield(recordReply{}, err)
			}
			if err != nil || len(rows) == 0 {
				return
			}
			for i, row := range rows {
				reply, err := recordOf(ctx, t, row, shown[i])
				published := err == nil && reply.Shown == nil // since then
				if !published && !yield(reply, err) {
					return
				}
			}
			after = rows[len(rows)-1].ID
		}
	}
}

// recorded returns the next rows that are deleted and who shows them, a few at
// a time: to ask costs a look at all strategies of the table.
func recorded(ctx context.Context, t *lv.Table, after string) (rows []lv.Row, shown []lv.Shown, err error) {
	var ids []string
	for row, err := range t.Rows(ctx, lv.View{Working: true, Deleted: true, After: after}) {
		if err != nil {
			return nil, nil, err
		}
		rows, ids = append(rows, row), append(ids, row.ID)
		if len(rows) == 64 {
			break
		}
	}
	shown, err = t.Shown(ctx, ids...)
	return rows, shown, err
}

// recordOf returns the record of a row that is deleted.
func recordOf(ctx context.Context, t *lv.Table, row lv.Row, shown lv.Shown) (reply recordReply, err error) {
	for _, env := range shown.Envs {
		there, err := t.Get(ctx, row.ID, lv.View{Env: env})
		damaged, isDamaged := errors.AsType[*lv.CorruptError](err)
		switch {
		case isDamaged:
			there.Version = damaged.Version
		case errors.Is(err, lv.ErrNotFound):
			continue // it has been published since
		case err != nil:
			return reply, err
		}
		reply.Shown = append(reply.Shown, shownReply{GrayID: string(env), VersionID: decimal(there.Version)})
	}
	for _, s := range shown.Strategies {
		reply.Shown = append(reply.Shown, shownReply{StrategyID: decimal(s.ID), VersionID: decimal(s.Target)})
	}
	if reply.Shown == nil {
		return reply, nil
	}
	deletion, err := t.VersionByID(ctx, row.Version)
	reply.ActionID, reply.ObjectID, reply.VersionID = decimal(row.Version), row.ID, reply.Shown[0].VersionID
	reply.Actor, reply.Time = deletion.By.Actor, deletion.Time.UnixMilli()
	return reply, err
}
